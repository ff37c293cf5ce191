"""What the requests of RunService ask for."""

from collections.abc import Mapping, Sequence
from typing import Any

from connectrpc.request import RequestContext
from flyteidl2.common import list_pb2
from flyteidl2.workflow import run_definition_pb2
from flyteidl2.workflow import run_service_pb2 as pb

from wingbeat.core.action import Phase
from wingbeat.core.action_tree import ActionFilter
from wingbeat.core.ids import Scope, TaskId, TriggerName
from wingbeat.errors import InvalidArgument
from wingbeat.operations.planning import DEFAULT_SOURCE, InlineTask
from wingbeat.operations.runs import RunRequest
from wingbeat.rpc.errors import REQUEST_ID
from wingbeat.rpc.identity import Caller
from wingbeat.store.runs import Within
from wingbeat.wire import relations, runs, tasks, times, triggers

MAX_REQUEST_ID = 256
"""Characters. Nobody can rely on a longer one being remembered."""


def run_request(request: pb.CreateRunRequest, ctx: RequestContext[Any, Any], *, caller: Caller) -> RunRequest:
    """Raises InvalidArgument, naming the field."""
    scope, name = _place(request)
    uploaded = request.WhichOneof("input_wrapper") == "offloaded_input_data"
    relation = relations.asked(request.run_spec, scope)
    return RunRequest(
        scope=scope,
        wanted=_wanted(request),
        name=name,
        inputs=request.inputs.SerializeToString() if request.HasField("inputs") else None,
        offloaded=runs.offloaded(request.offloaded_input_data) if uploaded else None,
        run_spec=request.run_spec.SerializeToString() if request.HasField("run_spec") else None,
        source=_source(request.source),
        run_start_time=times.from_proto(request.run_start_time) if request.HasField("run_start_time") else None,
        caller=caller.subject,
        request_id=request_id(ctx.request_headers()),
        relation=relation,
        force_rerun=relations.force_rerun(request.run_spec, relation),
    )


def within(request: pb.ListRunsRequest) -> Within | None:
    """Whose runs are listed; an organisation has them all."""
    match request.WhichOneof("scope_by"):
        case "project_id":
            return Scope(request.project_id.name, request.project_id.domain)
        case "trigger_name":
            return triggers.name_from_proto(request.trigger_name)
        case "task_name":
            return tasks.name_from_proto(request.task_name)
        case "task_id":
            return tasks.id_from_proto(request.task_id)
        case _:
            return None


def target(request: pb.WatchRunsRequest) -> Within | None:
    """Whose runs are watched: an organisation has them all, and so has every cluster, because there is only one."""
    match request.WhichOneof("target"):
        case "project_id":
            return Scope(request.project_id.name, request.project_id.domain)
        case "task_id":
            return tasks.id_from_proto(request.task_id)
        case _:
            return None


def action_filter(filters: Sequence[list_pb2.Filter]) -> ActionFilter:
    """PHASE with VALUE_IN and NAME with CONTAINS_CASE_INSENSITIVE, as often as one likes: all must match.

    Raises InvalidArgument, naming the field.
    """
    phases, words = frozenset(Phase), list[str]()
    for each in filters:
        match each.field.upper(), each.function:
            case "PHASE", list_pb2.Filter.VALUE_IN:
                phases &= {_phase(value) for value in each.values}
            case "NAME", list_pb2.Filter.CONTAINS_CASE_INSENSITIVE if len(each.values) == 1:
                words.append(each.values[0])
            case "NAME", list_pb2.Filter.CONTAINS_CASE_INSENSITIVE:
                raise InvalidArgument(f"filter on {each.field!r}: takes one value, got {len(each.values)}")
            case _:
                raise InvalidArgument(
                    f"filter on {each.field!r}: actions are filtered by PHASE with VALUE_IN and by NAME with"
                    " CONTAINS_CASE_INSENSITIVE"
                )
    return ActionFilter(None if phases == frozenset(Phase) else phases, tuple(filter(None, words)))


def _phase(value: str) -> Phase:
    try:
        return Phase(int(value))
    except ValueError:
        raise InvalidArgument(f"filter on 'PHASE': {value!r} is not the number of a phase") from None


def _place(request: pb.CreateRunRequest) -> tuple[Scope, str | None]:
    match request.WhichOneof("id"):
        case "run_id":
            return Scope(request.run_id.project, request.run_id.domain), request.run_id.name
        case "project_id":
            return Scope(request.project_id.name, request.project_id.domain), None
        case _:
            raise InvalidArgument("set run_id, or project_id for a name that is made up")


def _wanted(request: pb.CreateRunRequest) -> TaskId | TriggerName | InlineTask:
    match request.WhichOneof("task"):
        case "task_id":
            return tasks.id_from_proto(request.task_id)
        case "trigger_name":
            return triggers.name_from_proto(request.trigger_name)
        case "task_spec":
            spec = tasks.encoded(request.task_spec)
            template = request.task_spec.task_template.id
            task = TaskId(template.project, template.domain, template.name, template.version)
            return InlineTask(tasks.ref(task, request.task_spec, tasks.digest(spec)), spec)
        case _:
            raise InvalidArgument("set task_id, task_spec or trigger_name: nothing says what to run")


def _source(source: run_definition_pb2.RunSource) -> str:
    if source == run_definition_pb2.RUN_SOURCE_UNSPECIFIED:
        return DEFAULT_SOURCE
    try:
        return run_definition_pb2.RunSource.Name(source)
    except ValueError:
        raise InvalidArgument(f"source {int(source)} is not a RunSource") from None


def request_id(headers: Mapping[str, str]) -> str | None:
    """The caller's own id of the request, by which it can be repeated."""
    given = headers.get(REQUEST_ID, "")
    return given if 0 < len(given) <= MAX_REQUEST_ID else None
