from dataclasses import replace
from datetime import timedelta

import pytest
from flyteidl2.task import run_pb2

from tests.conftest import T0
from tests.planting import DEFAULTS, SCOPE, TASK, TRIGGER, deployment, order, plant, spec
from wingbeat.core.action import Phase, TriggerRef
from wingbeat.core.ids import ActionId, RunId, Scope, TaskId, TaskName, TriggerName
from wingbeat.core.listing import Filter, Function, ListQuery, Sort
from wingbeat.core.run import Run
from wingbeat.operations import planning, runs
from wingbeat.store import actions, triggers
from wingbeat.store import runs as stored
from wingbeat.store.database import Database, Transaction
from wingbeat.store.runs import Within

MINUTE = timedelta(minutes=1)


def run(name: str, *, scope: Scope = SCOPE, minutes: int = 0, labels: dict[str, str] | None = None) -> Run:
    asked = run_pb2.RunSpec(labels=run_pb2.Labels(values=labels)).SerializeToString()
    wanted = replace(order(), scope=scope, run_spec=asked)
    return planning.plan(wanted, defaults=DEFAULTS, now=T0 + minutes * MINUTE, name=name)


@pytest.fixture
async def some(database: Database) -> None:
    """Two plain runs, one that a trigger fired, one in another project, and one of another version of the task."""
    await plant(database, spec(), deployment())
    other_version = run("version", minutes=3)
    task = replace(other_version.task, id=replace(TASK, version="v2"))

    async def body(tx: Transaction) -> None:
        trigger = await triggers.find(tx, TRIGGER)
        assert trigger is not None
        fired = replace(run("fired", minutes=2), trigger=TriggerRef(trigger.id, TRIGGER, 1))
        await runs.start(
            tx,
            [
                run("plain", labels={"team": "owls", "a.b/c": "1"}),
                run("later", minutes=1, labels={"team": "larks"}),
                fired,
                replace(other_version, task=task),
                run("elsewhere", scope=Scope("fish", "development"), minutes=4),
            ],
        )
        root = await actions.find(tx, ActionId(RunId(SCOPE.project, SCOPE.domain, "later"), "a0"))
        assert root is not None
        await actions.save(tx, replace(root, phase=Phase.SUCCEEDED, ended_at=tx.now))
        paused = replace(root, id=ActionId(root.id.run, "c1"), parent="a0", phase=Phase.PAUSED)
        await actions.insert(tx, [paused])

    await database.write(body)


async def names(
    database: Database, query: ListQuery | None = None, within: Within | None = None, *, paused_only: bool = False
) -> list[str]:
    page = await database.read(
        lambda tx: stored.list_page(tx, query or ListQuery(), within=within, paused_only=paused_only)
    )
    return [listed.root.id.run.name for listed in page.items]


@pytest.mark.usefixtures("some")
@pytest.mark.parametrize(
    ("within", "expected"),
    [
        pytest.param(None, ["elsewhere", "version", "fired", "plain", "later"], id="all, unfinished first"),
        pytest.param(SCOPE, ["version", "fired", "plain", "later"], id="a project's domain"),
        pytest.param(Scope("fish", ""), ["elsewhere"], id="a project"),
        pytest.param(TRIGGER, ["fired"], id="a trigger"),
        pytest.param(TriggerName("birds", "development", "env.fly", "x"), [], id="another trigger"),
        pytest.param(
            TaskName("birds", "development", "env.fly"),
            ["elsewhere", "version", "fired", "plain", "later"],
            id="a task, wherever it runs",
        ),
        pytest.param(TaskId("birds", "development", "env.fly", "v2"), ["version"], id="a version of a task"),
    ],
)
async def test_scopes(database: Database, within: Within | None, expected: list[str]) -> None:
    assert await names(database, within=within) == expected


@pytest.mark.usefixtures("some")
@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([Filter("labels.team", Function.EQUAL, ("owls",))], ["plain"]),
        ([Filter("labels.team", Function.EXISTS)], ["later", "plain"]),
        ([Filter("labels.a.b/c", Function.EQUAL, ("1",))], ["plain"]),
        ([Filter("trigger_type", Function.EQUAL, ("TYPE_NONE",))], ["fired"]),
        ([Filter("phase", Function.EQUAL, ("5",))], ["later"]),
        ([Filter("task_version", Function.EQUAL, ("v2",))], ["version"]),
    ],
)
async def test_filters_of_runs(database: Database, filters: list[Filter], expected: list[str]) -> None:
    assert await names(database, ListQuery(filters=tuple(filters), sort=(Sort("created_at"),))) == expected


@pytest.mark.usefixtures("some")
async def test_runs_that_wait_for_somebody_can_be_listed_alone(database: Database) -> None:
    assert await names(database, paused_only=True) == ["later"]


@pytest.mark.usefixtures("some")
async def test_pages_show_each_run_once_with_its_labels(database: Database) -> None:
    seen: dict[str, dict[str, str]] = {}
    token = ""
    while True:
        query = ListQuery(limit=2, token=token)
        page = await database.read(lambda tx, query=query: stored.list_page(tx, query))
        for listed in page.items:
            assert listed.root.id.run.name not in seen
            seen[listed.root.id.run.name] = dict(listed.labels)
        token = page.next_token
        if not token:
            break
    assert len(seen) == 5
    assert (seen["plain"], seen["fired"]) == ({"team": "owls", "a.b/c": "1"}, {})
