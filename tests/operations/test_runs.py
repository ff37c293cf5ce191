"""Starting runs, on both databases."""

import asyncio
from dataclasses import replace

import pytest
from flyteidl2.task import run_pb2

from tests.conftest import T0
from tests.planting import (
    DEFAULTS,
    DOMAINS,
    SCOPE,
    TASK,
    TRIGGER,
    deployment,
    inputs,
    order,
    plant,
    spec,
    task,
    values,
)
from wingbeat.core.action import Action, Phase, PhaseChange
from wingbeat.core.ids import ActionId, RunId, Scope
from wingbeat.core.listing import ListQuery
from wingbeat.errors import AlreadyExists, Conflict, FailedPrecondition, InvalidArgument, NotFound
from wingbeat.operations import planning, projects, runs, triggers
from wingbeat.operations.runs import RunRequest
from wingbeat.store import actions, claims, events, queue
from wingbeat.store import runs as stored
from wingbeat.store import triggers as stored_triggers
from wingbeat.store.changes import QUEUE, RUNS, run_topic
from wingbeat.store.database import Database, Transaction

RUN = RunId("birds", "development", "mine")
REQUEST = RunRequest(SCOPE, TASK, name="mine")


async def create(database: Database, request: RunRequest = REQUEST, fresh_name: str = "fresh") -> Action:
    created = await database.write(
        lambda tx: runs.create(tx, request, defaults=DEFAULTS, domains=DOMAINS, fresh_name=fresh_name)
    )
    return created.root


async def count_runs(database: Database) -> int:
    return len((await database.read(lambda tx: stored.list_page(tx, ListQuery()))).items)


async def test_a_run_is_written_whole_queued_and_announced(database: Database) -> None:
    asked = run_pb2.RunSpec(queue="night", labels=run_pb2.Labels(values={"team": "owls"})).SerializeToString()
    await plant(database, spec(defaults={"a": 1}))
    with database.changes.subscribe(RUNS) as listed, database.changes.subscribe(run_topic(RUN), QUEUE) as watched:
        root = await create(database, replace(REQUEST, run_spec=asked, caller="ada", request_id="q1"))
        assert await listed.wait(1)
        assert await watched.wait(1)

    run = await database.read(lambda tx: stored.find(tx, RUN))
    assert run is not None
    assert run == planning.plan(
        replace(order(spec(defaults={"a": 1})), run_spec=asked, caller="ada", request_id="q1"),
        defaults=DEFAULTS,
        now=T0,
        name="mine",
    )
    assert root == await database.read(lambda tx: actions.find(tx, ActionId(RUN, "a0")))
    assert (root.phase, root.attempts, root.version, root.created_by_subject) == (Phase.QUEUED, 1, 1, "ada")
    assert root.task == run.task
    entry = await database.write(lambda tx: queue.find(tx, root.id))
    assert entry is not None
    assert (entry.attempt.number, entry.lane, entry.available_at, entry.node) == (1, "night", T0, None)
    assert await database.read(lambda tx: events.first_entries(tx, root.id)) == [PhaseChange(1, Phase.QUEUED, T0, "")]


async def test_a_run_without_a_name_gets_the_fresh_one(database: Database) -> None:
    await plant(database)
    assert (await create(database, replace(REQUEST, name=None), fresh_name="made-up")).id.run.name == "made-up"


async def test_a_taken_name_is_refused_and_what_is_there_is_not_touched(database: Database) -> None:
    await plant(database, spec(names=("a",)))
    await create(database, replace(REQUEST, inputs=inputs(a=1), request_id="q1"))
    with pytest.raises(AlreadyExists, match="'mine' exists already"):
        await create(database, replace(REQUEST, inputs=inputs(a=2), request_id="q2"))
    run = await database.read(lambda tx: stored.find(tx, RUN))
    assert run is not None
    assert values(run.inputs) == {"a": 1}


async def test_a_repeated_request_gets_its_first_run_even_when_the_task_is_gone(database: Database) -> None:
    await plant(database, spec(), deployment())
    request = replace(REQUEST, wanted=TRIGGER, name=None, request_id="q1")
    first = await create(database, request, fresh_name="one")
    await database.write(lambda tx: triggers.delete(tx, [TRIGGER], by=""))
    assert await create(database, request, fresh_name="two") == first
    assert await count_runs(database) == 1


async def test_a_request_id_is_not_good_for_two_names(database: Database) -> None:
    await plant(database)
    await create(database, replace(REQUEST, request_id="q1"))
    with pytest.raises(InvalidArgument, match="has started run 'mine'"):
        await create(database, replace(REQUEST, name="other", request_id="q1"))


async def test_of_requests_that_arrive_at_once_one_starts_the_run(database: Database) -> None:
    await plant(database)
    same = replace(REQUEST, name=None, request_id="q1")
    repeated = await asyncio.gather(*(create(database, same, fresh_name=f"r{number}") for number in range(5)))
    assert len({root.id for root in repeated}) == 1
    rivals = [replace(REQUEST, request_id=f"rival {number}") for number in range(5)]
    answers = await asyncio.gather(*(create(database, rival) for rival in rivals), return_exceptions=True)
    assert sum(isinstance(answer, AlreadyExists) for answer in answers) == 4
    assert await count_runs(database) == 2


async def test_a_task_that_comes_along_is_deployed_nowhere(database: Database) -> None:
    await plant(database)
    inline = task(spec(sdk="2.4.0"))
    root = await create(database, replace(REQUEST, wanted=inline))
    assert root.task == inline.ref


@pytest.mark.parametrize(
    ("request_", "kind", "words"),
    [
        pytest.param(replace(REQUEST, wanted=replace(TASK, version="v9")), NotFound, "no version 'v9'", id="task"),
        pytest.param(replace(REQUEST, wanted=TRIGGER), NotFound, "no trigger 'daily'", id="trigger"),
        pytest.param(replace(REQUEST, scope=Scope("fish", "development")), NotFound, "'fish' not found", id="project"),
        pytest.param(replace(REQUEST, scope=Scope("birds", "moon")), InvalidArgument, "moon", id="domain"),
        pytest.param(replace(REQUEST, name="No"), InvalidArgument, "run name 'No'", id="name"),
    ],
)
async def test_what_does_not_exist_cannot_run(
    database: Database, request_: RunRequest, kind: type[Exception], words: str
) -> None:
    await plant(database)
    with pytest.raises(kind, match=words):
        await create(database, request_)
    assert await count_runs(database) == 0


async def test_an_archived_project_runs_nothing(database: Database) -> None:
    await plant(database)

    async def archive(tx: Transaction) -> None:
        project = await projects.get(tx, "birds")
        await projects.update(tx, replace(project, state=type(project.state).ARCHIVED))

    await database.write(archive)
    with pytest.raises(FailedPrecondition, match="archived"):
        await create(database)


async def test_a_trigger_can_be_fired_by_hand_even_when_it_is_inactive(database: Database) -> None:
    await plant(database, spec(names=("a", "b")), deployment(given=inputs(a=1, b=2), active=False))
    root = await create(database, replace(REQUEST, wanted=TRIGGER, inputs=inputs(b=3)))
    trigger = await database.read(lambda tx: stored_triggers.find(tx, TRIGGER))
    run = await database.read(lambda tx: stored.find(tx, RUN))
    assert trigger is not None
    assert run is not None
    assert root.trigger is not None
    assert (root.trigger.id, root.trigger.name, root.trigger.revision) == (trigger.id, TRIGGER, 1)
    assert trigger.triggered_at == T0
    assert values(run.inputs) == {"a": 1, "b": 3}


async def test_two_thousand_runs_start_in_one_transaction(database: Database) -> None:
    await plant(database)
    labelled = run_pb2.RunSpec(labels=run_pb2.Labels(values={"team": "owls"})).SerializeToString()
    planned = [
        planning.plan(replace(order(), run_spec=labelled), defaults=DEFAULTS, now=T0, name=f"r{number}")
        for number in range(2000)
    ]
    await database.write(lambda tx: runs.start(tx, planned))
    names = [run.id for run in planned]
    assert await database.read(lambda tx: stored.taken(tx, [*names, RUN])) == set(names)
    claimed = await database.write(lambda tx: claims.claim(tx, "node", 3000))
    assert len(claimed) == 2000
    assert await database.read(lambda tx: stored.find(tx, names[1999])) == planned[1999]


async def test_starting_runs_stops_at_a_taken_name_and_starts_none(database: Database) -> None:
    await plant(database)
    await create(database)
    planned = [planning.plan(order(), defaults=DEFAULTS, now=T0, name=name) for name in ("other", "mine")]
    with pytest.raises(Conflict):
        await database.write(lambda tx: runs.start(tx, planned))
    assert await count_runs(database) == 1
