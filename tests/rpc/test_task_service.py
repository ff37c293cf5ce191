from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, timedelta

import pytest
from flyteidl2.common import identifier_pb2, list_pb2, phase_pb2
from flyteidl2.core import tasks_pb2
from flyteidl2.task import common_pb2, environment_pb2
from flyteidl2.task import task_definition_pb2 as tasks
from flyteidl2.task import task_service_pb2 as pb

from tests.conftest import T0, FakeClock
from tests.deployed import DEFAULTS, DOMAINS
from tests.rpc.calling import Client, RpcError, serving
from wingbeat.core.ids import Scope, TaskId
from wingbeat.core.project import Domains
from wingbeat.operations import projects, runs
from wingbeat.operations.planning import RunDefaults
from wingbeat.operations.runs import RunRequest
from wingbeat.rpc.identity import Caller
from wingbeat.rpc.service import broken_promises
from wingbeat.rpc.task_service import Tasks
from wingbeat.store.database import Database

SERVICE = "task.TaskService"


def cron(expression: str) -> common_pb2.TriggerAutomationSpec:
    schedule = common_pb2.Schedule(cron=common_pb2.Cron(expression=expression, timezone="UTC"))
    return common_pb2.TriggerAutomationSpec(type="TYPE_SCHEDULE", schedule=schedule)


HOURLY = cron("0 * * * *")
PICKY = RunDefaults("s3://wingbeat", allowed_bases=("s3://other",), domains=frozenset({"development"}))


@pytest.fixture
async def client(database: Database) -> AsyncGenerator[Client]:
    await database.write(lambda tx: projects.seed(tx, ["birds"]))
    domains = Domains.of(["development"])
    async with serving([Tasks(database, domains, PICKY, identify=lambda _: Caller("ann"))]) as client:
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
    assert found.metadata.deployed_by.user.id.subject == "ann"


async def test_version_that_was_never_deployed_is_not_found(client: Client) -> None:
    await deploy(client)
    with pytest.raises(RpcError, match=r"not_found.*'v2'"):
        await details(client, "v2")


async def test_one_bad_schedule_among_several_writes_nothing(client: Client) -> None:
    with pytest.raises(RpcError, match=r"invalid_argument.*'b'"):
        await deploy(client, triggers=[trigger("a"), trigger("b", cron("61 * * * *")), trigger("c")])
    with pytest.raises(RpcError, match="not_found"):
        await details(client)


async def test_a_trigger_whose_runs_could_have_no_directory_is_refused_and_nothing_is_written(client: Client) -> None:
    astray = trigger("astray")
    astray.spec.run_spec.run_base_dir = "s3://other/development"
    with pytest.raises(RpcError, match=r"invalid_argument.*'astray'.*run_spec\.run_base_dir 's3://other/development'"):
        await deploy(client, triggers=[trigger("a"), astray])
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
    assert names(await listed(client, known=[known(deployed_by="bob")])) == []
    assert len(names(await listed(client, known=[known(deployed_by="ann")]))) == 2
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
    first = await versions(client, limit=2)
    second = await versions(client, limit=2, token=first.token)
    seen = [each.version for each in (*first.versions, *second.versions)]
    assert (sorted(seen), second.token) == (["v1", "v2", "v3"], "")
    assert {each.deployed_by.user.id.subject for each in first.versions} == {"ann"}


async def versions(client: Client, name: str = "env.main", limit: int = 0, token: str = "") -> pb.ListVersionsResponse:
    request = pb.ListVersionsRequest(
        task_name=tasks.TaskName(project="birds", domain="development", name=name),
        request=list_pb2.ListRequest(limit=limit, token=token),
    )
    return await client.call(f"{SERVICE}/ListVersions", request, pb.ListVersionsResponse)


async def start_run(database: Database, name: str, version: str) -> None:
    task = TaskId("birds", "development", "env.main", version)
    order = RunRequest(Scope("birds", "development"), task, name=name)
    await database.write(lambda tx: runs.create(tx, order, defaults=DEFAULTS, domains=DOMAINS, fresh_name=name))


async def test_tasks_and_their_versions_show_their_latest_run(
    client: Client, database: Database, clock: FakeClock
) -> None:
    for version in ("v1", "v2", "v3"):
        await deploy(client, task_id(version=version))
        clock.forward(timedelta(minutes=1))
    await deploy(client, task_id("env.side"))
    for name, version in (("first", "v1"), ("second", "v2"), ("third", "v1")):
        await start_run(database, name, version)
        clock.forward(timedelta(minutes=1))
    shown = {task.task_id.name: task.task_summary for task in (await listed(client)).tasks}
    assert not shown["env.side"].HasField("latest_run")
    latest = shown["env.main"].latest_run
    assert latest.run_id == identifier_pb2.RunIdentifier(project="birds", domain="development", name="third")
    assert latest.run_time.ToDatetime(UTC) == T0 + timedelta(minutes=5)
    assert (latest.phase, latest.root_task_name) == (phase_pb2.ACTION_PHASE_QUEUED, "env.main")
    by_version = {each.version: each.latest_run.run_id.name for each in (await versions(client)).versions}
    assert by_version == {"v1": "third", "v2": "second", "v3": ""}


async def test_page_behind_the_last_one_still_counts(client: Client) -> None:
    for name in ("env.main", "env.side"):
        await deploy(client, task_id(name))
    token = (await listed(client, limit=1)).token
    gone = list_pb2.Filter(function=list_pb2.Filter.EQUAL, field="version", values=["v9"])
    assert (await listed(client, limit=1, token=token)).metadata.total == 2
    answer = await listed(client, gone)
    assert (names(answer), answer.metadata.total, answer.metadata.filtered_total) == ([], 2, 0)


async def test_version_deployed_again_is_replaced_and_keeps_its_age(client: Client, clock: FakeClock) -> None:
    await deploy(client)
    clock.forward(timedelta(minutes=1))
    await deploy(client, task_id(version="v2"))
    clock.forward(timedelta(minutes=1))
    await deploy(client, task_spec=spec(short="Sings"), triggers=[trigger("a")])
    found = await details(client)
    assert found.spec.documentation.short_description == "Sings"
    assert found.metadata.deployed_at.ToDatetime(UTC) == T0
    assert (await listed(client)).tasks[0].task_id.version == "v2"
    assert (await versions(client, "env.unknown")).versions == []
