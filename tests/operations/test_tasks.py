from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.conftest import T0, FakeClock
from wingbeat.core.action import TaskRef
from wingbeat.core.ids import TaskId, TaskName, TriggerName
from wingbeat.core.listing import Filter, Function, ListQuery, Sort
from wingbeat.core.project import Domains, Project, ProjectState
from wingbeat.core.task import TaskCounts, TaskDeployment, function_name
from wingbeat.core.trigger import Deployment
from wingbeat.errors import FailedPrecondition, InvalidArgument, NotFound
from wingbeat.operations import projects, tasks
from wingbeat.operations import triggers as trigger_operations
from wingbeat.store import tasks as stored
from wingbeat.store import triggers
from wingbeat.store.database import Database, Transaction

DOMAINS = Domains.of(["development"])


def wanted(name: str = "env.main", version: str = "v1", spec: bytes = b"spec", domain: str = "development"):
    ref = TaskRef(
        id=TaskId("birds", domain, name, version),
        type="python",
        short_name=name,
        function_name=function_name(name, "env"),
        environment="env",
        spec_digest=f"digest of {spec!r}",
    )
    return TaskDeployment(ref, spec, env_description="", short_description="Flies", entrypoint=name == "env.main")


def trigger(name: str, version: str = "v1") -> Deployment:
    return Deployment(
        name=TriggerName("birds", "development", "env.main", name),
        task_version=version,
        active=True,
        automation_type="TYPE_NONE",
        schedule=None,
        spec=b"",
        automation=b"",
        description="",
    )


async def deploy(
    database: Database, task: TaskDeployment, with_triggers: Sequence[Deployment] = (), by: str = ""
) -> None:
    await database.write(lambda tx: tasks.deploy(tx, task, with_triggers, by=by, domains=DOMAINS))


async def trigger_names(database: Database, version: str) -> list[str]:
    task = wanted(version=version).ref.id
    return [each.name.name for each in await database.read(lambda tx: triggers.of_version(tx, task))]


@pytest.fixture
async def birds(database: Database) -> Database:
    await database.write(lambda tx: projects.seed(tx, ["birds"]))
    return database


async def test_task_is_read_back_as_it_was_deployed(birds: Database) -> None:
    task = wanted()
    await deploy(birds, task, by="ann")
    found = await birds.read(lambda tx: tasks.get(tx, task.ref.id))
    assert (found.ref, found.spec) == (task.ref, task.spec)
    assert (found.task.short_description, found.task.entrypoint, found.task.deployed_by) == ("Flies", True, "ann")
    assert found.task.created_at == found.task.updated_at == T0


async def test_same_version_again_replaces_all_but_the_first_deployment(birds: Database, clock: FakeClock) -> None:
    await deploy(birds, wanted())
    clock.forward(timedelta(hours=1))
    again = replace(wanted(spec=b"other"), short_description="Swims", entrypoint=False)
    await deploy(birds, again)
    found = await birds.read(lambda tx: tasks.get(tx, again.ref.id))
    assert (found.spec, found.task.short_description, found.task.entrypoint) == (b"other", "Swims", False)
    assert (found.task.created_at, found.task.updated_at) == (T0, T0 + timedelta(hours=1))


async def test_specs_that_are_alike_are_kept_once(birds: Database) -> None:
    await deploy(birds, wanted(version="v1"))
    await deploy(birds, wanted(version="v2"))
    assert await birds.read(lambda tx: stored.spec(tx, wanted().ref.spec_digest)) == b"spec"
    assert await birds.read(lambda tx: stored.spec(tx, "nothing")) is None
    rows = await birds.read(lambda tx: tx.fetch("SELECT digest FROM task_spec"))
    assert len(rows) == 1


async def test_a_spec_that_is_replaced_and_that_no_run_uses_is_buried(birds: Database) -> None:
    async def buried(tx: Transaction) -> list[str]:
        return [row["digest"] for row in await tx.fetch("SELECT digest FROM buried_spec")]

    for spec in (b"one", b"one", b"two"):
        await deploy(birds, wanted(spec=spec))
    assert await birds.read(buried) == [wanted(spec=b"one").ref.spec_digest]
    assert (await birds.read(lambda tx: tasks.get(tx, wanted().ref.id))).spec == b"two"


async def test_deployed_triggers_replace_the_ones_before(birds: Database) -> None:
    await deploy(birds, wanted(), [trigger("hourly"), trigger("daily")])
    await deploy(birds, wanted(version="v2"), [trigger("daily", "v2")])
    assert await trigger_names(birds, "v1") == []
    assert await trigger_names(birds, "v2") == ["daily"]


async def test_no_triggers_at_all_removes_every_one(birds: Database) -> None:
    await deploy(birds, wanted(), [trigger("hourly")])
    await deploy(birds, wanted(version="v2"))
    assert await trigger_names(birds, "v1") == []


async def test_trigger_named_twice_deploys_nothing(birds: Database) -> None:
    with pytest.raises(InvalidArgument, match="'hourly'"):
        await deploy(birds, wanted(), [trigger("hourly"), trigger("hourly")])
    with pytest.raises(NotFound):
        await birds.read(lambda tx: tasks.get(tx, wanted().ref.id))


async def test_failing_trigger_takes_the_task_with_it(birds: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(tx: Transaction, *_: object, by: str) -> None:
        raise FailedPrecondition("no")

    monkeypatch.setattr(trigger_operations, "replace", fail)
    with pytest.raises(FailedPrecondition):
        await deploy(birds, wanted(), [trigger("hourly")])
    with pytest.raises(NotFound, match=r"'env.main' has no version 'v1' in birds/development"):
        await birds.read(lambda tx: tasks.get(tx, wanted().ref.id))


async def test_nothing_is_deployed_where_nothing_new_may_be(birds: Database) -> None:
    with pytest.raises(InvalidArgument, match="production"):
        await deploy(birds, wanted(domain="production"))
    await birds.write(lambda tx: projects.update(tx, Project("birds", "", "", b"", ProjectState.ARCHIVED)))
    with pytest.raises(FailedPrecondition, match="archived"):
        await deploy(birds, wanted())


async def latest(database: Database, query: ListQuery) -> tuple[list[str], TaskCounts]:
    page = await database.read(lambda tx: stored.list_tasks(tx, query, project="birds"))
    counts = await database.read(lambda tx: stored.count(tx, query, project="birds"))
    return [f"{task.ref.id.name}:{task.ref.id.version}" for task in page.items], counts


@pytest.fixture
async def flock(birds: Database, clock: FakeClock) -> Database:
    """main v1, main v2 with two triggers, side v1, and main v1 deployed again at last."""
    await deploy(birds, wanted(), by="ann")
    clock.forward(timedelta(minutes=1))
    await deploy(birds, wanted(version="v2"), [trigger("a", "v2"), trigger("b", "v2")], by="bob")
    clock.forward(timedelta(minutes=1))
    await deploy(birds, wanted("env.side"), by="bob")
    clock.forward(timedelta(minutes=1))
    await deploy(birds, wanted(), [trigger("a", "v2"), trigger("b", "v2")], by="ann")
    return birds


async def test_list_shows_each_task_in_the_version_first_deployed_last(flock: Database) -> None:
    assert await latest(flock, ListQuery()) == (["env.side:v1", "env.main:v2"], TaskCounts(2, 2))


async def test_filters_come_before_the_latest_version_is_picked(flock: Database) -> None:
    query = ListQuery(
        filters=(Filter("version", Function.EQUAL, ("v1",)), Filter("name", Function.ENDS_WITH, ("main",)))
    )
    assert await latest(flock, query) == (["env.main:v1"], TaskCounts(2, 1))


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("deployed_by", "ann", ["env.main:v1"]),
        ("entrypoint", "true", ["env.main:v2"]),
        ("entrypoint", "false", ["env.side:v1"]),
        ("total_triggers", "2", ["env.main:v2"]),
        ("active_triggers", "0", ["env.main:v1", "env.side:v1"]),
        ("trigger_name", "a", []),
    ],
)
async def test_list_filters_by(flock: Database, field: str, value: str, expected: list[str]) -> None:
    query = ListQuery(sort=(Sort("name", ascending=True),), filters=(Filter(field, Function.EQUAL, (value,)),))
    assert (await latest(flock, query))[0] == expected


async def test_every_field_of_a_list_sorts_page_by_page(flock: Database) -> None:
    for field in [
        "project",
        "domain",
        "name",
        "version",
        "environment",
        "function_name",
        "deployed_by",
        "created_at",
        "updated_at",
        "trigger_name",
        "total_triggers",
        "active_triggers",
        "env_description",
        "short_description",
        "entrypoint",
    ]:
        query = ListQuery(limit=1, sort=(Sort(field, ascending=True),))
        first = await flock.read(lambda tx, query=query: stored.list_tasks(tx, query))
        query = replace(query, token=first.next_token)
        second = await flock.read(lambda tx, query=query: stored.list_tasks(tx, query))
        assert {task.ref.id.name for task in (*first.items, *second.items)} == {"env.main", "env.side"}, field
        assert second.next_token == "", field


async def test_versions_of_one_task_come_newest_first(flock: Database) -> None:
    name = TaskName("birds", "development", "env.main")
    page = await flock.read(lambda tx: stored.list_versions(tx, ListQuery(), name))
    assert [task.ref.id.version for task in page.items] == ["v2", "v1"]
    nobody = await flock.read(lambda tx: stored.list_versions(tx, ListQuery(), replace(name, name="")))
    assert nobody.items == []
