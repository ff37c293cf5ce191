"""Runs that came from another one, on both databases."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.conftest import FakeClock
from tests.deployed import DEFAULTS, DOMAINS, TASK, deploy_task, task_spec
from wingbeat.core.action import Action, ErrorKind, Failure, Outcome, Phase, Success, TaskRef
from wingbeat.core.child import TaskChild, TraceChild
from wingbeat.core.condition import ConditionChild
from wingbeat.core.ids import ActionId, AttemptId, RunId, Scope, TaskId
from wingbeat.core.pruning import Ended, Kept
from wingbeat.core.relation import Relation, RelationType
from wingbeat.core.value import ValueType
from wingbeat.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from wingbeat.operations import actions, children, conditions, ending, pruning, runs
from wingbeat.operations.actions import NO_RETRIES, Claim
from wingbeat.operations.runs import RunRequest
from wingbeat.store import actions as stored
from wingbeat.store import children as stored_children
from wingbeat.store import claims, events, run_needs, signals
from wingbeat.store.database import Body, Database
from wingbeat.wire import tasks as wire

SCOPE = Scope(TASK.project, TASK.domain)
SOURCE = RunId(TASK.project, TASK.domain, "source")
SPEC = wire.encoded(task_spec())
REF = wire.ref(TASK, task_spec(), wire.digest(SPEC))
ERROR = Failure("ValueError", ErrorKind.USER, "no", retryable=True)
CONDITION = TaskRef(TaskId(SOURCE.project, SOURCE.domain, "ok", ""), "condition", "ok", "ok", "", "spec")
RECOVER = Relation(RelationType.RECOVER, SOURCE)


async def start(database: Database, name: str, relation: Relation | None = None, *force_rerun: str) -> Action:
    request = RunRequest(SCOPE, TASK, name=name, relation=relation, force_rerun=force_rerun, caller="ada")
    created = await database.write(
        lambda tx: runs.create(tx, request, defaults=DEFAULTS, domains=DOMAINS, fresh_name="x")
    )
    return created.root


async def begin(database: Database) -> Claim:
    (claimed,) = await database.write(lambda tx: actions.claim(tx, "n1", 1))
    return claimed


async def end(database: Database, claim: Claim, outcome: Outcome) -> None:
    await database.write(
        lambda tx: actions.finished(tx, claim.id, claim.token, outcome, retries=NO_RETRIES, chance=0.0)
    )


def child(name: str, parent: str = "a0", run: RunId = SOURCE) -> TaskChild:
    return TaskChild(ActionId(run, name), parent, "g", f"s3://b/{name}", REF, SPEC, lane="")


def trace(name: str, run: RunId = SOURCE) -> TraceChild:
    uri = f"s3://b/{name}/1"
    made = child(name, run=run)
    return TraceChild(
        made.id,
        "a0",
        "",
        made.input_uri,
        REF,
        SPEC,
        Phase.SUCCEEDED,
        started_at=FakeClock().now,
        ended_at=FakeClock().now,
        output_uri=f"{uri}/outputs.pb",
        error_uri=f"{uri}/error.pb",
    )


def condition(name: str, run: RunId = SOURCE) -> ConditionChild:
    return ConditionChild(
        ActionId(run, name), "a0", "", "", CONDITION, b"", value_type=ValueType.BOOLEAN, timeout=None, notifies=False
    )


@pytest.fixture(autouse=True)
async def source(database: Database) -> None:
    """A run that has failed: of its children `good`, a trace and a condition have succeeded, and one below `bad`."""
    await deploy_task(database)
    await start(database, "source")
    root = await begin(database)
    for name in ("good", "bad"):
        await database.write(lambda tx, name=name: children.enqueue(tx, child(name)))
        claimed = await begin(database)
        if name == "bad":
            await database.write(lambda tx: children.enqueue(tx, child("below", "bad")))
            await end(database, await begin(database), Success())
        await end(database, claimed, ERROR if name == "bad" else Success())
    await database.write(lambda tx: children.record(tx, trace("note")))
    await database.write(lambda tx: conditions.enqueue(tx, condition("ok")))
    await database.write(lambda tx: conditions.signal(tx, ActionId(SOURCE, "ok"), True, by="bob"))
    await end(database, root, ERROR)


async def of_run(database: Database, name: str) -> dict[str, Action]:
    names = ("a0", "good", "bad", "below", "note", "ok")
    run = RunId(SOURCE.project, SOURCE.domain, name)
    found = [await database.read(lambda tx, each=each: stored.find(tx, ActionId(run, each))) for each in names]
    return {action.id.name: action for action in found if action}


async def test_a_recovery_begins_with_what_was_finished_well(database: Database, clock: FakeClock) -> None:
    clock.forward(timedelta(hours=1))
    root = await start(database, "again", RECOVER)
    found, before = await of_run(database, "again"), await of_run(database, "source")
    assert {name: action.phase for name, action in found.items()} == {
        "a0": Phase.QUEUED,
        "good": Phase.RECOVERED,
        "below": Phase.RECOVERED,
        "note": Phase.RECOVERED,
        "ok": Phase.RECOVERED,
    }
    good = found["good"]
    assert good == replace(
        before["good"],
        id=ActionId(root.id.run, "good"),
        phase=Phase.RECOVERED,
        source=root.source,
        created_by_subject="ada",
        created_at=clock.now,
        updated_at=clock.now,
        ended_at=clock.now,
        duration_ms=0,
        version=1,
        origin=AttemptId(before["good"].id, 1),
    )
    assert good.recovered_from == before["good"].id
    assert root.relation == RECOVER
    assert root.recovered_from is None
    assert (found["below"].parent, found["note"].output_uri) == ("bad", "s3://b/note/1/outputs.pb")


async def test_a_recovered_action_has_its_last_attempt_its_log_and_a_history(database: Database) -> None:
    made = AttemptId(ActionId(SOURCE, "good"), 1)
    await database.write(lambda tx: actions.keep_log(tx, made, "s3://logs/good"))
    root = await start(database, "again", RECOVER)
    good = ActionId(root.id.run, "good")
    (attempt,) = await database.read(lambda tx: stored.attempts(tx, good))
    (original,) = await database.read(lambda tx: stored.attempts(tx, made.action))
    assert (attempt.id, attempt.phase, attempt.node) == (AttemptId(good, 1), Phase.RECOVERED, "")
    assert (attempt.output_prefix, attempt.log_uri) == (original.output_prefix, "s3://logs/good")
    (change,) = await database.read(lambda tx: events.first_entries(tx, good))
    assert (change.phase, change.message) == (Phase.RECOVERED, "recovered from run source")


async def test_a_parent_finds_what_is_recovered_done(database: Database) -> None:
    root = await start(database, "again", RECOVER)
    await begin(database)
    run = root.id.run
    states = await database.read(lambda tx: stored_children.of_parent(tx, root.id, since=None))
    assert {state.action.id.name: state.action.phase for state in states} == dict.fromkeys(
        ("good", "note", "ok"), Phase.RECOVERED
    )
    given = await database.read(lambda tx: signals.find(tx, ActionId(run, "ok")))
    assert given is not None
    assert (given.value, given.by) == (True, "bob")
    asked: list[Body[None]] = [
        lambda tx: children.enqueue(tx, child("good", run=run)),
        lambda tx: children.record(tx, trace("note", run)),
        lambda tx: conditions.enqueue(tx, condition("ok", run)),
    ]
    for ask in asked:
        with pytest.raises(AlreadyExists):
            await database.write(ask)
    await database.write(lambda tx: children.enqueue(tx, child("bad", run=run)))
    (claimed,) = await database.write(lambda tx: actions.claim(tx, "n1", 9))
    assert claimed.id.action.name == "bad"


async def test_forced_actions_run_again(database: Database) -> None:
    await start(database, "again", RECOVER, "good", "bad", "a0")
    assert set(await of_run(database, "again")) == {"a0", "below", "note", "ok"}


async def test_a_recovery_can_be_recovered_and_who_made_the_outputs_is_still_known(database: Database) -> None:
    await start(database, "again", RECOVER)
    await end(database, await begin(database), ERROR)
    third = RunId(SOURCE.project, SOURCE.domain, "third")
    await start(database, "third", Relation(RelationType.RECOVER, replace(SOURCE, name="again")))
    good = await database.read(lambda tx: stored.find(tx, ActionId(third, "good")))
    assert good is not None
    assert good.origin == AttemptId(ActionId(SOURCE, "good"), 1)
    assert good.output_uri == (await of_run(database, "source"))["good"].output_uri


async def test_a_run_that_succeeded_runs_its_first_action_again(database: Database) -> None:
    await start(database, "fine")
    await end(database, await begin(database), Success())
    root = await start(database, "again", Relation(RelationType.RECOVER, replace(SOURCE, name="fine")))
    assert root.phase is Phase.QUEUED
    assert (await begin(database)).id.action == root.id


@pytest.mark.parametrize("kind", [RelationType.RERUN, RelationType.SPAWN])
async def test_other_relations_are_kept_and_copy_nothing(database: Database, kind: RelationType) -> None:
    running = Relation(kind, replace(SOURCE, name="running"))
    await start(database, "running")
    root = await start(database, "again", running)
    assert root.relation == running
    assert (await of_run(database, "again"))["a0"].relation == running
    assert set(await of_run(database, "again")) == {"a0"}


@pytest.mark.parametrize("kind", list(RelationType))
async def test_the_other_run_must_exist(database: Database, kind: RelationType) -> None:
    with pytest.raises(NotFound, match=r"relation\.related_to: there is no run 'gone'"):
        await start(database, "again", Relation(kind, replace(SOURCE, name="gone")))


async def test_what_is_not_over_cannot_be_recovered(database: Database) -> None:
    await start(database, "running")
    with pytest.raises(FailedPrecondition, match=r"relation\.related_to: run 'running' is QUEUED"):
        await start(database, "again", Relation(RelationType.RECOVER, replace(SOURCE, name="running")))
    assert await of_run(database, "again") == {}


async def test_unknown_actions_cannot_be_forced(database: Database) -> None:
    with pytest.raises(InvalidArgument, match=r"run 'source' has no actions 'x', 'y'$"):
        await start(database, "again", RECOVER, "good", "y", "x")


async def test_only_what_runs_is_queued(database: Database) -> None:
    await start(database, "again", RECOVER)
    entries = await database.write(lambda tx: claims.claim(tx, "n1", 9))
    assert [entry.attempt.action.name for entry in entries] == ["a0"]


OLD = pruning.Order(timedelta(days=1))


async def pruned(database: Database) -> tuple[set[str], dict[Kept, int]]:
    """The names that go in one step, and why others stay."""
    at = Ended(SCOPE, 0, "")
    step = await database.write(lambda tx: pruning.step(tx, OLD, at, limit=9))
    return {run.name for run in step.runs}, dict(step.kept)


async def test_a_recovered_run_is_kept_as_long_as_the_recovery_is(database: Database, clock: FakeClock) -> None:
    root = await start(database, "again", RECOVER)
    assert await database.read(lambda tx: run_needs.sources(tx, root.id.run)) == [SOURCE]
    clock.forward(timedelta(days=2))
    assert await pruned(database) == (set(), {Kept.NEEDED: 1})
    await database.write(lambda tx: ending.abort(tx, root.id, "enough"))
    clock.forward(timedelta(hours=12))
    assert await pruned(database) == (set(), {Kept.NEEDED: 1})
    clock.forward(timedelta(days=2))
    assert await pruned(database) == ({"again"}, {Kept.NEEDED: 1})
    assert await pruned(database) == ({"source"}, {})
    with pytest.raises(NotFound, match=r"'source'.*or it was pruned"):
        await start(database, "once-more", RECOVER)


@pytest.mark.parametrize("kind", [RelationType.RERUN, RelationType.SPAWN])
async def test_a_chain_of_runs_is_kept_until_the_end_of_the_last_and_no_longer(
    database: Database, clock: FakeClock, kind: RelationType
) -> None:
    second = await start(database, "second", Relation(kind, SOURCE))
    await database.write(lambda tx: ending.abort(tx, second.id, "enough"))
    third = await start(database, "third", Relation(kind, second.id.run))
    clock.forward(timedelta(days=2))
    assert await pruned(database) == (set(), {Kept.NEEDED: 2})
    await database.write(lambda tx: ending.abort(tx, third.id, "enough"))
    assert await pruned(database) == ({"source", "second"}, {})


async def test_what_a_recovery_needs_is_not_needed_for_less_because_its_inputs_speak_of_it(
    database: Database, clock: FakeClock
) -> None:
    root = await start(database, "again", RECOVER)
    await database.write(lambda tx: run_needs.add(tx, root.id.run, SOURCE, until=run_needs.Until.END))
    await database.write(lambda tx: ending.abort(tx, root.id, "enough"))
    clock.forward(timedelta(days=2))
    assert await pruned(database) == ({"again"}, {Kept.NEEDED: 1})
