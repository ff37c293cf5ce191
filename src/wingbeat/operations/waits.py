"""Why an action waits, as it is at this moment: looked up whenever somebody asks, since nodes come and go."""

from wingbeat.core.action import Action, Phase
from wingbeat.core.lane import no_node_for
from wingbeat.store import nodes, queue
from wingbeat.store.database import Transaction


async def reason(tx: Transaction, action: Action) -> str:
    """Empty for an action that does not wait for a node, or that one will take."""
    lane = await queue.lane(tx, action.id) if action.phase is Phase.QUEUED else None
    return "" if lane is None or await nodes.serve(tx, lane) else no_node_for(lane)
