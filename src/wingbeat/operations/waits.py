"""Why an action waits, as it is at this moment: looked up whenever somebody asks, since nodes come and go."""

from wingbeat.core.action import Action, Phase
from wingbeat.core.lane import no_node_for
from wingbeat.store import nodes, queue, rooms
from wingbeat.store.database import Transaction


async def reason(tx: Transaction, action: Action) -> str:
    """Empty for an action that does not wait for a node, or that one will take."""
    place = await queue.place(tx, action.id) if action.phase is Phase.QUEUED else None
    if place is None:
        return ""
    if not await nodes.serve(tx, place.lane):
        return no_node_for(place.lane)
    # What is kept back may have room by now, and no node has looked.
    if place.kept_back and await rooms.busy(tx, action.id.run) >= place.action_limit:
        return f"its run is at its max_action_concurrency, {place.action_limit}"
    return ""
