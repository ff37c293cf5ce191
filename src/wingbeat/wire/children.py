"""Actions that running actions ask for, and what their parents hear of them: proto <-> core."""

from flyteidl2.actions import actions_service_pb2 as pb
from flyteidl2.core import execution_pb2
from flyteidl2.workflow import state_service_pb2

from wingbeat.core.action import ActionType, ErrorKind, Failure, Phase, TaskRef
from wingbeat.core.child import ChildState, TaskChild, TraceChild
from wingbeat.core.condition import ConditionChild
from wingbeat.core.ids import TaskId, check_action_name
from wingbeat.core.launch import error_object
from wingbeat.errors import InvalidArgument
from wingbeat.wire import actions, conditions, tasks, timeouts, times, values

TRACE_TYPE = "trace"
ABORTED_CODE = "Aborted"
_TRACE_PHASES = frozenset({Phase.SUCCEEDED, Phase.FAILED})
_RECOVERABLE, _NON_RECOVERABLE = execution_pb2.ContainerError.RECOVERABLE, execution_pb2.ContainerError.NON_RECOVERABLE
_ERROR_KINDS = {
    ErrorKind.USER: execution_pb2.ExecutionError.USER,
    ErrorKind.SYSTEM: execution_pb2.ExecutionError.SYSTEM,
    ErrorKind.UNSPECIFIED: execution_pb2.ExecutionError.UNKNOWN,
}


def child_of(action: pb.Action) -> TaskChild | TraceChild | ConditionChild:
    """Raises InvalidArgument."""
    check_action_name(action.action_id.name)
    match action.WhichOneof("spec"):
        case "task":
            return _task(action)
        case "trace":
            return _trace(action)
        case "condition":
            return conditions.child_of(action, parent=_parent(action))
        case _:
            raise InvalidArgument(f"action {action.action_id.name!r} has no spec: set `task`, `trace` or `condition`")


def update(child: ChildState) -> state_service_pb2.ActionUpdate:
    """Always with an output URI and, when it failed, with the error: the SDK guesses at what is left out.

    A condition has its value inside. Outputs may be another action's, which had them first.
    """
    action = child.action
    is_trace = action.type is ActionType.TRACE
    return state_service_pb2.ActionUpdate(
        action_id=actions.identifier(action.id),
        phase=actions.phase(action.phase),
        output_uri=action.output_uri or ("" if is_trace else child.output_prefix),
        error=_error(child),
        value=None if child.value is None else values.literal(child.value),
    )


def _task(action: pb.Action) -> TaskChild:
    spec = tasks.encoded(action.task.spec)
    # A task that is deployed nowhere has its id in its template only.
    named = action.task.id if action.task.HasField("id") else action.task.spec.task_template.id
    task = TaskId(named.project, named.domain, named.name, named.version)
    return TaskChild(
        id=actions.action_id(action.action_id),
        parent=_parent(action),
        group=action.group,
        input_uri=action.input_uri,
        task=tasks.ref(task, action.task.spec, tasks.digest(spec)),
        spec=spec,
        lane=action.task.queue,
        timeouts=timeouts.of_task(action.task.spec),
        cache_key=action.task.cache_key.value,
    )


def _trace(action: pb.Action) -> TraceChild:
    trace, run = action.trace, action.action_id.run
    if trace.phase not in _TRACE_PHASES:
        raise InvalidArgument(f"trace {trace.name!r}: phase {trace.phase} is not over: a trace is SUCCEEDED or FAILED")
    started_at = times.from_proto(trace.start_time)
    ended_at = times.from_proto(trace.end_time) if trace.HasField("end_time") else started_at
    spec = trace.spec.SerializeToString(deterministic=True)
    return TraceChild(
        id=actions.action_id(action.action_id),
        parent=_parent(action),
        group=action.group,
        input_uri=action.input_uri,
        task=TaskRef(
            TaskId(run.project, run.domain, trace.name, ""), TRACE_TYPE, trace.name, trace.name, "", tasks.digest(spec)
        ),
        spec=spec,
        phase=Phase(trace.phase),
        started_at=started_at,
        ended_at=max(started_at, ended_at),
        output_uri=trace.outputs.output_uri,
        error_uri=error_object(action.input_uri),
    )


def _parent(action: pb.Action) -> str:
    if not action.parent_action_name:
        raise InvalidArgument("parent_action_name is empty: a run is started with CreateRun, its actions have a parent")
    return action.parent_action_name


def _error(child: ChildState) -> execution_pb2.ExecutionError | None:
    action = child.action
    if action.phase is Phase.ABORTED:
        return _failure(Failure(ABORTED_CODE, ErrorKind.USER, action.abort_reason or "aborted"))
    if action.phase in (Phase.FAILED, Phase.TIMED_OUT) and child.failure:
        return _failure(child.failure)
    return None


def _failure(failure: Failure) -> execution_pb2.ExecutionError:
    return execution_pb2.ExecutionError(
        code=failure.code,
        message=failure.message,
        kind=_ERROR_KINDS[failure.kind],
        recoverability=_RECOVERABLE if failure.retryable else _NON_RECOVERABLE,
    )
