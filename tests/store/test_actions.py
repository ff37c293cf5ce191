from dataclasses import replace
from datetime import timedelta

import pytest

from tests.conftest import T0, FakeClock
from tests.planting import DEFAULTS, order, plant
from wingbeat.core.action import Action, Attempt, ErrorKind, Failure, Phase, PhaseChange
from wingbeat.core.ids import ActionId, AttemptId, RunId
from wingbeat.core.listing import Filter, Function, ListQuery, Sort
from wingbeat.errors import Conflict, InvalidArgument
from wingbeat.operations import planning, runs
from wingbeat.store import actions, events
from wingbeat.store.changes import RUNS, run_topic
from wingbeat.store.database import Database, Transaction

RUN = RunId("birds", "development", "r1")
ROOT = ActionId(RUN, "a0")
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def root(database: Database) -> Action:
    await plant(database)
    planned = planning.plan(order(), defaults=DEFAULTS, now=T0, name="r1")

    async def body(tx: Transaction) -> Action | None:
        await runs.start(tx, [planned])
        return await actions.find(tx, ROOT)

    found = await database.write(body)
    assert found is not None
    return found


def child(root: Action, name: str) -> Action:
    return replace(root, id=ActionId(RUN, name), parent="a0")


async def names(database: Database, query: ListQuery) -> list[str]:
    page = await database.read(lambda tx: actions.list_of_run(tx, RUN, query))
    return [action.id.name for action in page.items]


async def test_a_saved_action_has_a_new_version_and_wakes_watchers(
    database: Database, clock: FakeClock, root: Action
) -> None:
    clock.forward(MINUTE)
    done = replace(
        root,
        phase=Phase.ABORTED,
        attempts=2,
        output_uri="s3://out",
        abort_reason="enough",
        ended_at=T0 + MINUTE,
        duration_ms=60_000,
    )
    with database.changes.subscribe(run_topic(RUN)) as watched, database.changes.subscribe(RUNS) as listed:
        saved = await database.write(lambda tx: actions.save(tx, done))
        assert await watched.wait(1)
        assert await listed.wait(1)
    assert saved == replace(done, version=2, updated_at=T0 + MINUTE)
    assert await database.read(lambda tx: actions.find(tx, ROOT)) == saved


async def test_an_action_that_changed_in_between_is_not_overwritten(database: Database, root: Action) -> None:
    await database.write(lambda tx: actions.save(tx, replace(root, phase=Phase.RUNNING)))
    with pytest.raises(Conflict, match="'a0' of run 'r1' changed"):
        await database.write(lambda tx: actions.save(tx, replace(root, phase=Phase.ABORTED)))
    found = await database.read(lambda tx: actions.find(tx, ROOT))
    assert found is not None
    assert found.phase is Phase.RUNNING


async def test_attempts_come_back_as_they_were_saved_last(database: Database, root: Action) -> None:
    begun = Attempt(
        id=AttemptId(ROOT, 1),
        phase=Phase.INITIALIZING,
        node="n1",
        token=1,
        output_prefix="s3://out/a0/1",
        created_at=T0,
        started_at=None,
        ended_at=None,
        failure=None,
        log_uri=None,
    )
    failed = replace(
        begun,
        phase=Phase.FAILED,
        started_at=T0 + MINUTE,
        ended_at=T0 + 2 * MINUTE,
        failure=Failure("ValueError", ErrorKind.USER, "no", retryable=True),
        log_uri="s3://logs",
    )
    second = replace(begun, id=AttemptId(ROOT, 2), token=2)

    async def body(tx: Transaction) -> list[Attempt]:
        for attempt in (second, begun, failed):
            await actions.save_attempt(tx, attempt)
        return await actions.attempts(tx, ROOT)

    assert await database.write(body) == [failed, second]


async def test_history_keeps_the_first_entry_of_each_phase_however_chatty_an_attempt_is(
    database: Database, root: Action
) -> None:
    chatty = [
        PhaseChange(1, phase, T0 + number * MINUTE, f"{number}")
        for number, phase in enumerate([Phase.INITIALIZING, Phase.QUEUED] * 400)
    ]
    later = PhaseChange(2, Phase.QUEUED, T0 + 900 * MINUTE, "")
    await database.write(lambda tx: events.record(tx, [(ROOT, change) for change in [*chatty, later]]))
    assert await database.read(lambda tx: events.first_entries(tx, ROOT)) == [
        PhaseChange(1, Phase.QUEUED, T0, ""),
        chatty[0],
        later,
    ]


async def test_actions_are_listed_unfinished_first_then_the_newest(database: Database, root: Action) -> None:
    old_and_new = [
        replace(child(root, "done"), phase=Phase.SUCCEEDED, created_at=T0 + 3 * MINUTE),
        replace(child(root, "old"), phase=Phase.RUNNING, created_at=T0 + MINUTE),
        replace(child(root, "new"), phase=Phase.RUNNING, created_at=T0 + 2 * MINUTE),
    ]
    await database.write(lambda tx: actions.insert(tx, old_and_new))
    assert await names(database, ListQuery()) == ["a0", "new", "old", "done"]
    page = await database.read(lambda tx: actions.list_of_run(tx, RUN, ListQuery(limit=3)))
    rest = await database.read(lambda tx: actions.list_of_run(tx, RUN, ListQuery(limit=3, token=page.next_token)))
    assert [action.id.name for action in rest.items] == ["done"]
    assert rest.next_token == ""


@pytest.mark.parametrize(
    ("field", "function", "values", "expected"),
    [
        ("parent_name", Function.EQUAL, ("a0",), ["c1", "c2"]),
        ("parent_name", Function.NOT_EXISTS, (), ["a0"]),
        ("phase", Function.VALUE_IN, ("4",), ["c1"]),
        ("phase", Function.EQUAL, ("1", "0"), ["c2"]),
        ("action_type", Function.EQUAL, ("1",), ["a0", "c1", "c2"]),
        ("created_at", Function.GREATER_THAN, (T0.isoformat(),), ["c1"]),
        ("run_source", Function.EQUAL, ("RUN_SOURCE_WEB",), ["a0", "c1", "c2"]),
        ("trigger_type", Function.EQUAL, ("TYPE_NONE",), []),
        ("function_name", Function.CONTAINS, ("fl",), ["a0", "c1", "c2"]),
        ("created_by", Function.EQUAL, ("ada",), ["c2"]),
    ],
)
async def test_filters(
    database: Database, root: Action, field: str, function: Function, values: tuple[str, ...], expected: list[str]
) -> None:
    children = [
        replace(child(root, "c1"), phase=Phase.RUNNING, created_at=T0 + MINUTE),
        replace(child(root, "c2"), phase=Phase.RECOVERED, created_by_subject="ada"),
    ]
    await database.write(lambda tx: actions.insert(tx, children))
    query = ListQuery(filters=(Filter(field, function, values),), sort=(Sort("name", ascending=True),))
    assert await names(database, query) == expected


async def test_a_field_that_does_not_exist_is_named(database: Database, root: Action) -> None:
    with pytest.raises(InvalidArgument, match="unknown field 'colour'"):
        await names(database, ListQuery(sort=(Sort("colour"),)))
