"""All that there is to say about one action, or about a run: read in one transaction."""

from flyteidl2.common import identifier_pb2
from flyteidl2.workflow import run_definition_pb2

from wingbeat.core.action import Action, ActionType
from wingbeat.core.ids import ROOT_ACTION
from wingbeat.errors import NotFound
from wingbeat.store import actions, events, runs, signals, tasks
from wingbeat.store.database import Transaction
from wingbeat.wire import actions as wire


def root_of(run: identifier_pb2.RunIdentifier) -> identifier_pb2.ActionIdentifier:
    return identifier_pb2.ActionIdentifier(run=run, name=ROOT_ACTION)


async def of_action(
    tx: Transaction, action: Action, named: identifier_pb2.ActionIdentifier
) -> run_definition_pb2.ActionDetails:
    """`named` is the action as the caller named it."""
    return wire.details(
        action,
        named=named,
        spec=await tasks.spec(tx, action.task.spec_digest) or b"",
        attempts=await actions.attempts(tx, action.id),
        changes=await events.first_entries(tx, action.id),
        signal=await signals.find(tx, action.id) if action.type is ActionType.CONDITION else None,
    )


async def of_run(
    tx: Transaction, root: Action, named: identifier_pb2.ActionIdentifier
) -> run_definition_pb2.RunDetails:
    """Of the run whose first action `root` is. Raises NotFound."""
    run_spec = await runs.run_spec(tx, root.id.run)
    if run_spec is None:
        raise NotFound(f"run {root.id.run.name!r} not found")
    return wire.run_details(run_spec, await of_action(tx, root, named))
