"""What the commands for triggers ask of the API."""

from collections.abc import Sequence

from flyteidl2.common import identifier_pb2, list_pb2
from flyteidl2.task import task_definition_pb2, task_service_pb2
from flyteidl2.trigger import trigger_definition_pb2
from flyteidl2.trigger import trigger_service_pb2 as flyte

from wingbeat._generated.automation.v1 import automation_pb2 as pb
from wingbeat.cli.client import PAGE, Api, pages
from wingbeat.cli.run_calls import only
from wingbeat.errors import InvalidArgument, NotFound


async def triggers(
    api: Api, filters: Sequence[list_pb2.Filter], *, limit: int | None
) -> tuple[list[trigger_definition_pb2.Trigger], bool]:
    """The triggers of the target, and whether `limit` left some out."""
    scope = identifier_pb2.ProjectIdentifier(name=api.target.project, domain=api.target.domain)

    async def fetch(page: list_pb2.ListRequest) -> tuple[Sequence[trigger_definition_pb2.Trigger], str]:
        answer = await api.triggers.list_triggers(flyte.ListTriggersRequest(request=page, project_id=scope))
        return answer.triggers, answer.token

    order = [list_pb2.Sort(key=key, direction=list_pb2.Sort.ASCENDING) for key in ("task_name", "name")]
    return await pages(fetch, list_pb2.ListRequest(filters=filters, sort_by_fields=order), limit=limit)


async def named(api: Api, typed: str) -> identifier_pb2.TriggerName:
    """`TASK/NAME`, or `NAME` alone where only one task has a trigger of that name. Raises NotFound, InvalidArgument."""
    task, slash, name = typed.rpartition("/")
    if slash:
        return identifier_pb2.TriggerName(
            project=api.target.project, domain=api.target.domain, task_name=task, name=name
        )
    found, _ = await triggers(api, only("name", name), limit=PAGE)
    names = [each.id.name for each in found]
    if not names:
        raise NotFound(
            f"no trigger is called {name!r} in {api.target.scope} at {api.target.url};"
            " write TASK/NAME for one that is deleted"
        )
    if len(names) > 1:
        tasks = ", ".join(f"{each.task_name}/{each.name}" for each in names)
        raise InvalidArgument(f"trigger {name!r} is one of several: say which, {tasks}")
    return names[0]


async def states(api: Api, names: Sequence[identifier_pb2.TriggerName], *, fires: int) -> list[pb.TriggerState]:
    """In the order of the names; those that are deleted by now are left out."""
    found: list[pb.TriggerState] = []
    for first in range(0, len(names), PAGE):
        request = pb.GetTriggerStatesRequest(names=names[first : first + PAGE], fires=fires)
        found += (await api.automation.get_trigger_states(request)).states
    return found


async def details(api: Api, name: identifier_pb2.TriggerName) -> trigger_definition_pb2.TriggerDetails:
    return (await api.triggers.get_trigger_details(flyte.GetTriggerDetailsRequest(name=name))).trigger


async def task_spec(api: Api, trigger: trigger_definition_pb2.TriggerDetails) -> task_definition_pb2.TaskSpec:
    """Of the task that the trigger runs."""
    name = trigger.id.name
    task = task_definition_pb2.TaskIdentifier(
        project=name.project, domain=name.domain, name=name.task_name, version=trigger.spec.task_version
    )
    answer = await api.tasks.get_task_details(task_service_pb2.GetTaskDetailsRequest(task_id=task))
    return answer.details.spec


async def preview(api: Api, name: identifier_pb2.TriggerName, *, count: int) -> pb.PreviewScheduleResponse:
    return await api.automation.preview_schedule(pb.PreviewScheduleRequest(trigger=name, count=count))


async def fires(api: Api, wanted: pb.ListFiresRequest, *, limit: int | None) -> tuple[list[pb.Fire], bool]:
    async def fetch(page: list_pb2.ListRequest) -> tuple[Sequence[pb.Fire], str]:
        wanted.limit, wanted.token = page.limit, page.token
        answer = await api.automation.list_fires(wanted)
        return answer.fires, answer.token

    return await pages(fetch, list_pb2.ListRequest(), limit=limit)
