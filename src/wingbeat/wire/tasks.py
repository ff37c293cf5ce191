"""Tasks: proto <-> core. A spec is kept as the bytes it has once its descriptions fit."""

import hashlib
from collections.abc import Mapping, Sequence

from flyteidl2.common import identifier_pb2, phase_pb2
from flyteidl2.task import common_pb2, environment_pb2, task_definition_pb2, task_service_pb2

from wingbeat.core.action import TaskRef
from wingbeat.core.ids import TaskId, TaskName
from wingbeat.core.listing import Filter, Function, ListQuery, Page
from wingbeat.core.task import LatestRun, StoredTask, Task, TaskCounts, TaskDeployment, function_name
from wingbeat.core.trigger import Deployment, Trigger
from wingbeat.wire import identities, listing, times
from wingbeat.wire.triggers import shorten, task_trigger

MAX_DESCRIPTION_BYTES = 255
MAX_LONG_DESCRIPTION_BYTES = 2048


def id_from_proto(task: task_definition_pb2.TaskIdentifier) -> TaskId:
    return TaskId(task.project, task.domain, task.name, task.version)


def name_from_proto(task: task_definition_pb2.TaskName) -> TaskName:
    return TaskName(task.project, task.domain, task.name)


def id_to_proto(task: TaskId) -> task_definition_pb2.TaskIdentifier:
    return task_definition_pb2.TaskIdentifier(
        project=task.project, domain=task.domain, name=task.name, version=task.version
    )


def digest(spec: bytes) -> str:
    """The address of a spec: equal bytes are kept once."""
    return hashlib.sha256(spec).hexdigest()


def encoded(spec: task_definition_pb2.TaskSpec) -> bytes:
    """The bytes of a spec, with descriptions cut to their maximal lengths."""
    fitting = task_definition_pb2.TaskSpec()
    fitting.CopyFrom(spec)
    environment, documentation = fitting.environment, fitting.documentation
    _shorten(environment, "description", MAX_DESCRIPTION_BYTES)
    _shorten(documentation, "short_description", MAX_DESCRIPTION_BYTES)
    _shorten(documentation, "long_description", MAX_LONG_DESCRIPTION_BYTES)
    return fitting.SerializeToString(deterministic=True)


def ref(task: TaskId, spec: task_definition_pb2.TaskSpec, spec_digest: str) -> TaskRef:
    return TaskRef(
        id=task,
        type=spec.task_template.type,
        short_name=spec.short_name,
        function_name=function_name(task.name, spec.environment.name),
        environment=spec.environment.name,
        spec_digest=spec_digest,
    )


def deployment(request: task_service_pb2.DeployTaskRequest) -> TaskDeployment:
    spec = encoded(request.spec)
    return TaskDeployment(
        ref=ref(id_from_proto(request.task_id), request.spec, digest(spec)),
        spec=spec,
        env_description=shorten(request.spec.environment.description, MAX_DESCRIPTION_BYTES),
        short_description=shorten(request.spec.documentation.short_description, MAX_DESCRIPTION_BYTES),
        entrypoint=request.spec.task_template.metadata.is_entrypoint,
    )


def triggers(request: task_service_pb2.DeployTaskRequest) -> Sequence[Deployment]:
    """Raises InvalidArgument, naming the trigger."""
    task = id_from_proto(request.task_id)
    return [task_trigger(task, trigger) for trigger in request.triggers]


def query_from_proto(request: task_service_pb2.ListTasksRequest) -> ListQuery:
    """The request's filters and the known ones, which must all match. Raises InvalidArgument."""
    query = listing.from_proto(request.request)
    known = tuple(_known_filter(each) for each in request.known_filters if each.WhichOneof("filter_by"))
    return ListQuery(query.limit, query.token, query.sort, query.filters + known)


def details(stored: StoredTask, with_triggers: Sequence[Trigger]) -> task_definition_pb2.TaskDetails:
    return task_definition_pb2.TaskDetails(
        task_id=id_to_proto(stored.ref.id),
        metadata=_metadata(stored.task, with_triggers),
        spec=task_definition_pb2.TaskSpec.FromString(stored.spec),
    )


def tasks_page(
    page: Page[Task],
    triggers_of: Mapping[TaskId, Sequence[Trigger]],
    latest: Mapping[TaskName, LatestRun],
    counts: TaskCounts,
) -> task_service_pb2.ListTasksResponse:
    return task_service_pb2.ListTasksResponse(
        tasks=[
            task_definition_pb2.Task(
                task_id=id_to_proto(task.ref.id),
                metadata=_metadata(task, triggers_of.get(task.ref.id, ())),
                task_summary=task_definition_pb2.TaskSummary(latest_run=_latest_run(latest.get(task.ref.id.task_name))),
            )
            for task in page.items
        ],
        token=page.next_token,
        metadata=task_service_pb2.ListTasksResponse.ListTasksMetadata(
            total=counts.total, filtered_total=counts.matching
        ),
    )


def versions_page(page: Page[Task], latest: Mapping[TaskId, LatestRun]) -> task_service_pb2.ListVersionsResponse:
    return task_service_pb2.ListVersionsResponse(
        versions=[
            task_service_pb2.ListVersionsResponse.VersionResponse(
                version=task.ref.id.version,
                deployed_at=times.to_proto(task.created_at),
                deployed_by=identities.to_proto(task.deployed_by),
                latest_run=_latest_run(latest.get(task.ref.id)),
            )
            for task in page.items
        ],
        token=page.next_token,
    )


def _latest_run(latest: LatestRun | None) -> task_definition_pb2.LatestRunSummary | None:
    """None: there is none that is kept."""
    if latest is None:
        return None
    run = latest.run
    return task_definition_pb2.LatestRunSummary(
        run_id=identifier_pb2.RunIdentifier(project=run.project, domain=run.domain, name=run.name),
        run_time=times.to_proto(latest.created_at),
        phase=phase_pb2.ActionPhase.Name(latest.phase.value),
        root_task_name=latest.task,
    )


def _shorten(
    message: task_definition_pb2.DocumentationEntity | environment_pb2.Environment, field: str, most: int
) -> None:
    text = getattr(message, field)
    if len(text.encode()) > most:
        setattr(message, field, shorten(text, most))


def _known_filter(each: task_service_pb2.ListTasksRequest.KnownFilter) -> Filter:
    if each.WhichOneof("filter_by") == "deployed_by":
        return Filter("deployed_by", Function.EQUAL, (each.deployed_by,))
    return Filter("entrypoint", Function.EQUAL, (str(each.is_entrypoint),))


def _metadata(task: Task, with_triggers: Sequence[Trigger]) -> task_definition_pb2.TaskMetadata:
    return task_definition_pb2.TaskMetadata(
        deployed_by=identities.to_proto(task.deployed_by),
        short_name=task.ref.function_name,
        deployed_at=times.to_proto(task.created_at),
        environment_name=task.ref.environment,
        triggers_summary=_summary(with_triggers),
        short_description=task.short_description,
    )


def _summary(with_triggers: Sequence[Trigger]) -> task_definition_pb2.TaskTriggersSummary | None:
    """One trigger is shown itself, several are counted."""
    match with_triggers:
        case []:
            return None
        case [trigger]:
            automation = common_pb2.TriggerAutomationSpec.FromString(trigger.automation)
            return task_definition_pb2.TaskTriggersSummary(
                details=task_definition_pb2.TaskTriggersSummary.TriggerDetails(
                    name=trigger.name.name, active=trigger.active, automation_spec=automation
                )
            )
        case _:
            active = sum(trigger.active for trigger in with_triggers)
            return task_definition_pb2.TaskTriggersSummary(
                stats=task_definition_pb2.TaskTriggersSummary.TriggerStats(total=len(with_triggers), active=active)
            )
