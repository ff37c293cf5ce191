"""What there is to say about one action, or about a run. Raises NotFound for what does not exist."""

from flyteidl2.common import identifier_pb2
from flyteidl2.workflow import run_definition_pb2
from flyteidl2.workflow import run_service_pb2 as pb

from wingbeat.core.action import Action, ActionType, Attempt, PhaseChange
from wingbeat.core.ids import ROOT_ACTION, ActionId, AttemptId
from wingbeat.core.launch import inputs_object, outputs_object
from wingbeat.errors import NotFound
from wingbeat.operations import waits
from wingbeat.operations.current import get
from wingbeat.store import actions, events, runs, signals, tasks
from wingbeat.store.database import Transaction
from wingbeat.wire import actions as wire
from wingbeat.wire import log_context as attempt_log
from wingbeat.wire import times


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
        changes=await _history(tx, action),
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


async def data_uris(tx: Transaction, wanted: ActionId) -> pb.GetActionDataURIsResponse:
    """No outputs as long as there are none, and none of a condition, whose value is part of its details."""
    action = await get(tx, wanted)
    return pb.GetActionDataURIsResponse(
        inputs_uri=inputs_object(action.input_uri),
        outputs_uri=outputs_object(action.output_uri) if action.output_uri else "",
    )


async def log_context(tx: Transaction, wanted: AttemptId) -> pb.GetActionLogContextResponse:
    """Raises NotFound also for an attempt that has no log, or none yet."""
    action = await get(tx, wanted.action)
    attempt = next((each for each in await actions.attempts(tx, action.id) if each.id == wanted), None)
    if attempt is None or not wire.has_logs(attempt):
        raise NotFound(f"attempt {wanted.number} of action {action.id.name!r} has no log{_why_not(action, attempt)}")
    return pb.GetActionLogContextResponse(
        log_context=attempt_log.of_attempt(attempt),
        cluster=attempt.node,
        start_time=times.to_proto(attempt.started_at or attempt.created_at),
        end_time=times.maybe_to_proto(attempt.ended_at),
    )


async def _history(tx: Transaction, action: Action) -> list[PhaseChange]:
    """What was said of the action's attempts, and what there is to say while it waits."""
    changes, why = await events.first_entries(tx, action.id), await waits.reason(tx, action)
    return [*changes, PhaseChange(action.attempts, action.phase, action.updated_at, why)] if why else changes


def _why_not(action: Action, attempt: Attempt | None) -> str:
    if action.type is ActionType.TRACE:
        return f": what a trace says is in the log of its parent {action.parent!r}"
    return ": it never ran" if action.phase.terminal or attempt else ": it has not begun"
