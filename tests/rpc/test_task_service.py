from collections.abc import AsyncGenerator, Sequence

import pytest
from flyteidl2.common import identifier_pb2, list_pb2
from flyteidl2.core import tasks_pb2
from flyteidl2.task import common_pb2, environment_pb2
from flyteidl2.task import task_definition_pb2 as tasks
from flyteidl2.task import task_service_pb2 as pb

from tests.conftest import T0
from tests.rpc.calling import Client, RpcError, serving
from wingbeat.core.project import Domains
from wingbeat.operations import projects
from wingbeat.rpc.service import broken_promises
from wingbeat.rpc.task_service import Tasks
from wingbeat.store.database import Database

SERVICE = "task.TaskService"


def cron(expression: str) -> common_pb2.TriggerAutomationSpec:
    schedule = common_pb2.Schedule(cron=common_pb2.Cron(expression=expression, timezone="UTC"))
    return common_pb2.TriggerAutomationSpec(type="TYPE_SCHEDULE", schedule=schedule)


HOURLY = cron("0 * * * *")


@pytest.fixture
async def client(database: Database) -> AsyncGenerator[Client]:
    await database.write(lambda tx: projects.seed(tx, ["birds"]))
    async with serving([Tasks(database, Domains.of(["development"]))]) as client:
        yield client


def task_id(name: str = "env.main", version: str = "v1", project: str = "birds") -> tasks.TaskIdentifier:
    return tasks.TaskIdentifier(project=project, domain="development", name=name, version=version)


def spec(entrypoint: bool = False, short: str = "Flies", long: str = "") -> tasks.TaskSpec:
    return tasks.TaskSpec(
        task_template=tasks_pb2.TaskTemplate(type="python", metadata=tasks_pb2.TaskMetadata(is_entrypoint=entrypoint)),
        short_name="main",
        environment=environment_pb2.Environment(name="env", description="All birds"),
        documentation=tasks.DocumentationEntity(short_description=short, long_description=long),
    )


def trigger(name: str, automation: common_pb2.TriggerAutomationSpec = HOURLY, active: bool = True) -> tasks.TaskTrigger:
    return tasks.TaskTrigger(name=name, spec=tasks.TaskTriggerSpec(active=active), automation_spec=automation)


async def deploy(
    client: Client,
    task: tasks.TaskIdentifier | None = None,
    task_spec: tasks.TaskSpec | None = None,
    triggers: Sequence[tasks.TaskTrigger] = (),
) -> None:
    request = pb.DeployTaskRequest(task_id=task or task_id(), spec=task_spec or spec(), triggers=triggers)
    await client.call(f"{SERVICE}/DeployTask", request, pb.DeployTaskResponse)


async def details(client: Client, version: str = "v1") -> tasks.TaskDetails:
    request = pb.GetTaskDetailsRequest(task_id=task_id(version=version))
    return (await client.call(f"{SERVICE}/GetTaskDetails", request, pb.GetTaskDetailsResponse)).details


async def listed(
    client: Client,
    *filters: list_pb2.Filter,
    known: Sequence[pb.ListTasksRequest.KnownFilter] = (),
    limit: int = 0,
    token: str = "",
) -> pb.ListTasksResponse:
    request = pb.ListTasksRequest(
        project_id=identifier_pb2.ProjectIdentifier(name="birds", domain="development"),
        request=list_pb2.ListRequest(filters=filters, limit=limit, token=token),
        known_filters=known,
    )
    return await client.call(f"{SERVICE}/ListTasks", request, pb.ListTasksResponse)


def names(answer: pb.ListTasksResponse) -> list[str]:
    return [task.task_id.name for task in answer.tasks]


def test_service_keeps_its_promises() -> None:
    assert broken_promises(Tasks) == []


async def test_task_comes_back_as_it_was_deployed(client: Client) -> None:
    await deploy(client)
    found = await details(client)
    assert found.task_id == task_id()
    assert found.spec == spec()
    assert found.metadata.short_name == "main"
    assert found.metadata.environment_name == "env"
    assert found.metadata.short_description == "Flies"
    assert found.metadata.deployed_at.ToDatetime() == T0.replace(tzinfo=None)
    assert not found.metadata.HasField("triggers_summary")
    assert not found.metadata.HasField("deployed_by")


async def test_version_that_was_never_deployed_is_not_found(client: Client) -> None:
    await deploy(client)
    with pytest.raises(RpcError, match=r"not_found.*'v2'"):
        await details(client, "v2")


async def test_one_bad_schedule_among_several_writes_nothing(client: Client) -> None:
    with pytest.raises(RpcError, match=r"invalid_argument.*'b'"):
        await deploy(client, triggers=[trigger("a"), trigger("b", cron("61 * * * *")), trigger("c")])
    with pytest.raises(RpcError, match="not_found"):
        await details(client)


async def test_trigger_summary_shows_one_counts_several_and_follows_every_change(client: Client) -> None:
    await deploy(client, triggers=[trigger("a")])
    summary = (await details(client)).metadata.triggers_summary
    assert (summary.details.name, summary.details.active) == ("a", True)
    assert summary.details.automation_spec.schedule.cron.expression == "0 * * * *"
    await deploy(client, task_id(version="v2"), triggers=[trigger("a"), trigger("b", active=False)])
    assert not (await details(client, "v1")).metadata.HasField("triggers_summary")
    stats = (await details(client, "v2")).metadata.triggers_summary.stats
    assert (stats.total, stats.active) == (2, 1)
    listing = await listed(client)
    assert listing.tasks[0].metadata.triggers_summary.stats.total == 2
    await deploy(client, task_id(version="v3"))
    assert not (await details(client, "v2")).metadata.HasField("triggers_summary")


async def test_descriptions_are_cut_between_characters(client: Client) -> None:
    await deploy(client, task_spec=spec(short="x" + "ü" * 127, long="ü" * 1024))
    found = await details(client)
    assert found.spec.documentation.short_description == "x" + "ü" * 127
    assert found.metadata.short_description == "x" + "ü" * 127
    await deploy(client, task_spec=spec(short="ü" * 128, long="€" * 1000))
    found = await details(client)
    assert found.metadata.short_description == found.spec.documentation.short_description == "ü" * 127
    assert found.spec.documentation.long_description == "€" * 682


async def test_unknown_project_and_domain_are_refused(client: Client) -> None:
    with pytest.raises(RpcError, match=r"not_found.*'fish'"):
        await deploy(client, task_id(project="fish"))
    elsewhere = tasks.TaskIdentifier(project="birds", domain="production", name="env.main", version="v1")
    with pytest.raises(RpcError, match=r"invalid_argument.*'production'"):
        await deploy(client, elsewhere)


async def test_list_counts_all_tasks_and_those_that_match(client: Client) -> None:
    for name in ("env.main", "env.side", "other.main"):
        await deploy(client, task_id(name))
        await deploy(client, task_id(name, version="v2"))
    answer = await listed(
        client,
        list_pb2.Filter(function=list_pb2.Filter.CONTAINS, field="name", values=["env."]),
        limit=1,
    )
    assert (len(answer.tasks), answer.metadata.total, answer.metadata.filtered_total) == (1, 3, 2)
    assert answer.tasks[0].task_id.version == "v2"
    assert answer.tasks[0].metadata.short_description == "Flies"


async def test_known_filter_picks_entrypoints(client: Client) -> None:
    await deploy(client, task_id("env.main"), spec(entrypoint=True))
    await deploy(client, task_id("env.side"))
    known = pb.ListTasksRequest.KnownFilter
    assert names(await listed(client, known=[known(is_entrypoint=True)])) == ["env.main"]
    assert names(await listed(client, known=[known(is_entrypoint=False)])) == ["env.side"]
    assert names(await listed(client, known=[known(deployed_by="ann")])) == []
    assert len(names(await listed(client, known=[known()]))) == 2


async def test_lists_refuse_what_they_do_not_understand(client: Client) -> None:
    with pytest.raises(RpcError, match=r"invalid_argument.*'colour'"):
        await listed(client, list_pb2.Filter(function=list_pb2.Filter.EQUAL, field="colour", values=["red"]))
    with pytest.raises(RpcError, match=r"invalid_argument.*200"):
        await listed(client, limit=201)
    with pytest.raises(RpcError, match=r"invalid_argument.*token"):
        await listed(client, token="50")


async def test_versions_are_listed_page_by_page(client: Client) -> None:
    for version in ("v1", "v2", "v3"):
        await deploy(client, task_id(version=version))
    seen: list[str] = []
    token = ""
    for _ in range(2):
        request = pb.ListVersionsRequest(
            task_name=tasks.TaskName(project="birds", domain="development", name="env.main"),
            request=list_pb2.ListRequest(limit=2, token=token),
        )
        answer = await client.call(f"{SERVICE}/ListVersions", request, pb.ListVersionsResponse)
        seen += [each.version for each in answer.versions]
        token = answer.token
    assert (sorted(seen), token) == (["v1", "v2", "v3"], "")
