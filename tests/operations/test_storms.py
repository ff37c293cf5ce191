"""Everything at once: nodes claim, end and give back, callers abort, timers go off. All ends, and nothing is left."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from flyteidl2.task import task_definition_pb2

from tests.conftest import FakeClock
from tests.queued_runs import run_of, task_spec
from wingbeat.core.action import ErrorKind, Failure, Outcome, Phase, Success
from wingbeat.core.cache import CachePolicy
from wingbeat.core.child import TaskChild
from wingbeat.core.condition import ConditionChild
from wingbeat.core.ids import ActionId
from wingbeat.core.retry import LOST, RetryPolicy
from wingbeat.core.run import Run
from wingbeat.core.timer import Timeouts
from wingbeat.core.value import ValueType
from wingbeat.errors import AlreadyExists, Conflict, FailedPrecondition, NotFound, Unavailable
from wingbeat.operations import actions, children, conditions, ending, runs, timeouts
from wingbeat.operations.actions import Claim
from wingbeat.store import nodes, tasks, timers
from wingbeat.store.database import Database, Row, Transaction
from wingbeat.store.nodes import Node
from wingbeat.wire.tasks import digest

SECOND = timedelta(seconds=1)
LEASE = timedelta(seconds=20)
NODES = ("n1", "n2", "n3")
SPEC = task_spec(retries=2)
CACHED = task_definition_pb2.TaskSpec.FromString(SPEC)
CACHED.task_template.metadata.discoverable = CACHED.task_template.metadata.cache_serializable = True
ERROR = Failure("ValueError", ErrorKind.USER, "no", retryable=True)
FATAL = Failure("ValueError", ErrorKind.USER, "no")
SERIAL = CachePolicy("k", None, serializable=True)
POLICIES = (None, None, SERIAL, replace(SERIAL, key="other"), replace(SERIAL, overwrite=True))
OUTCOMES: tuple[Outcome, ...] = (Success(), Success(), ERROR, FATAL, LOST)
EXPECTED = (AlreadyExists, Conflict, FailedPrecondition, NotFound, Unavailable)
"""What others may be told who do the same at the same moment."""


@dataclass
class Storm:
    database: Database
    clock: FakeClock
    chance: random.Random
    claims: list[Claim] = field(default_factory=list[Claim])
    """Current ones and old ones."""
    known: list[ActionId] = field(default_factory=list[ActionId])
    started: int = 0

    async def start(self) -> None:
        self.started += 1
        run = replace(
            run_of(f"r{self.started}", SPEC),
            cache=self.chance.choice(POLICIES),
            action_limit=self.chance.choice((0, 1, 1, 2)),
            timeouts=self._timeouts(),
            created_at=self.clock.now,
        )
        await self.database.write(lambda tx: self._start(tx, run))
        self.known.append(ActionId(run.id, "a0"))

    async def ask(self) -> None:
        """A child of whatever was claimed some time."""
        if not self.claims:
            return
        parent = self.chance.choice(self.claims).id.action
        child = ActionId(parent.run, f"c{self.chance.randrange(1000)}")
        spec, key = self.chance.choice([(SPEC, ""), (SPEC, ""), (CACHED.SerializeToString(), f"k{parent.name}")])
        wanted = TaskChild(
            child, parent.name, "", "s3://b/i", run_of("x", spec).task, spec, "", self._timeouts(), cache_key=key
        )
        await self.database.write(lambda tx: children.enqueue(tx, wanted))
        self.known.append(child)

    async def ask_somebody(self) -> None:
        """A condition below whatever was claimed some time."""
        if self.claims:
            parent = self.chance.choice(self.claims).id.action
            condition = ActionId(parent.run, f"q{self.chance.randrange(1000)}")
            timeout = self.chance.choice((None, 5 * SECOND))
            wanted = ConditionChild(
                condition, parent.name, "", "", run_of("x", SPEC).task, SPEC, ValueType.BOOLEAN, timeout, notifies=True
            )
            await self.database.write(lambda tx: conditions.enqueue(tx, wanted))
            self.known.append(condition)

    async def signal(self) -> None:
        asked = [action for action in self.known if action.name.startswith("q")]
        if asked:
            condition = self.chance.choice(asked)
            await self.database.write(lambda tx: conditions.signal(tx, condition, True, by="ada"))

    async def claim(self, limit: int = 3) -> None:
        node = self.chance.choice(NODES)
        self.claims += await self.database.write(lambda tx: actions.claim(tx, node, limit))

    async def begin(self) -> None:
        claim = self._claim()
        if claim:
            await self.database.write(lambda tx, each=claim: actions.started(tx, each.id, each.token, at=tx.now))

    async def end(self) -> None:
        claim, outcome = self._claim(), self.chance.choice(OUTCOMES)
        if claim:
            await self.ended(claim, outcome)

    async def end_twice(self) -> None:
        claim = self._claim()
        if claim:
            outcomes = [self.chance.choice(OUTCOMES) for _ in range(2)]
            writes = [self.ended(claim, each) for each in outcomes]
            assert (await asyncio.gather(*writes)).count(True) <= 1

    async def release(self) -> None:
        claim = self._claim()
        if claim and claim.attempt.phase is Phase.INITIALIZING:
            await self.database.write(lambda tx, each=claim: self._release(tx, each))

    async def abort(self) -> None:
        if self.known and self.chance.random() < 0.3:
            action = self.chance.choice(self.known)
            await self.database.write(lambda tx: ending.abort(tx, action, "enough"))

    async def expire(self) -> None:
        due = await self.database.read(lambda tx: timers.due(tx, 9))
        await asyncio.gather(*(self.database.write(lambda tx, each=each: timeouts.expire(tx, each)) for each in due))

    async def live(self) -> None:
        node = Node(self.chance.choice(NODES), "host", private_blobs=False)
        await self.database.write(lambda tx: nodes.register(tx, node, LEASE))

    async def take_over(self) -> None:
        await self.database.write(lambda tx: actions.take_over(tx, 9, chance=0))

    async def wait(self) -> None:
        self.clock.forward(self.chance.choice((SECOND, SECOND, 5 * SECOND, -2 * SECOND)))

    def moves(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        often = [self.claim, self.end, self.ask, self.ask, self.begin, self.release]
        rarely = [self.start, self.end_twice, self.abort, self.expire, self.live, self.take_over]
        asking = [self.ask_somebody, self.signal]
        return [*often, *often, *asking, *rarely, self.wait]

    def _claim(self) -> Claim | None:
        return self.chance.choice(self.claims[-12:]) if self.claims else None

    def _timeouts(self) -> Timeouts:
        bounds = [self.chance.choice((None, None, None, 5 * SECOND, 30 * SECOND)) for _ in range(3)]
        return Timeouts(*bounds)

    async def _start(self, tx: Transaction, run: Run) -> None:
        await tasks.put_spec(tx, digest(SPEC), SPEC)
        await runs.start(tx, [run])

    async def ended(self, claim: Claim, outcome: Outcome) -> bool:
        return await self.database.write(lambda tx: self._end(tx, claim, outcome))

    async def _end(self, tx: Transaction, claim: Claim, outcome: Outcome) -> bool:
        return await actions.finished(tx, claim.id, claim.token, outcome, retries=RetryPolicy(2), chance=0)

    async def _release(self, tx: Transaction, claim: Claim) -> None:
        current = await actions.find_claim(tx, claim.id, claim.token)
        if current and current.attempt.phase is Phase.INITIALIZING:
            await actions.release(tx, claim.id, claim.token, at=tx.now + SECOND, why="busy")


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_every_action_ends_once_and_leaves_nothing(
    database: Database, clock: FakeClock, seed: int
) -> None:
    storm = Storm(database, clock, random.Random(seed))
    for _ in range(60):
        moves = [storm.chance.choice(storm.moves())() for _ in range(4)]
        unexpected = [
            error
            for error in await asyncio.gather(*moves, return_exceptions=True)
            if error and not isinstance(error, EXPECTED)
        ]
        assert not unexpected
        assert await database.read(contradictions) == []
    await calm_down(storm)
    assert await database.read(remains) == {}
    assert await database.read(contradictions) == []


async def calm_down(storm: Storm) -> None:
    """Everything that can go on goes on, and succeeds."""
    for _ in range(100):
        storm.clock.forward(timedelta(minutes=1))
        await storm.database.write(lambda tx: actions.take_over(tx, 999, chance=0))
        claimed = await storm.database.write(lambda tx: actions.claim(tx, "last", 999))
        if not claimed and not await storm.database.read(remains):
            return
        for claim in claimed:
            await storm.ended(claim, Success())


async def remains(tx: Transaction) -> dict[str, int]:
    found: dict[str, int] = {}
    for table in ("queue", "cache_reservation", "run_room"):
        (row,) = await tx.fetch(f"SELECT count(*) AS number FROM {table}")
        found[table] = row["number"]
    return {table: number for table, number in found.items() if number}


async def contradictions(tx: Transaction) -> list[tuple[str, str]]:
    """What cannot be, whatever happens: an action, and what is wrong with it."""
    over = ", ".join(str(phase.value) for phase in Phase if phase.terminal)
    wrong = {
        "over and queued": f"""
            SELECT a.run, a.name FROM action a JOIN queue q ON q.run = a.run AND q.action = a.name
             WHERE a.phase IN ({over})""",
        "not over and not queued": f"""
            SELECT a.run, a.name FROM action a WHERE a.phase NOT IN ({over})
               AND NOT EXISTS (SELECT 1 FROM queue q WHERE q.run = a.run AND q.action = a.name)""",
        "over without an end": f"""
            SELECT a.run, a.name FROM action a WHERE (a.phase IN ({over})) <> (a.ended_at IS NOT NULL)""",
        "held and not begun": """
            SELECT a.run, a.name FROM action a JOIN queue q ON q.run = a.run AND q.action = a.name
             WHERE (q.node IS NOT NULL) <> (a.phase IN (3, 4))""",
        "held and kept back": "SELECT run, action AS name FROM queue WHERE node IS NOT NULL AND kept_back",
        "its attempt is over": f"""
            SELECT a.run, a.name FROM action a
              JOIN attempt t ON t.run = a.run AND t.action = a.name AND t.number = a.attempts
             WHERE (a.phase IN ({over})) <> (t.ended_at IS NOT NULL)""",
        "another attempt than its entry": """
            SELECT a.run, a.name FROM action a JOIN queue q ON q.run = a.run AND q.action = a.name
             WHERE q.attempt <> a.attempts""",
        "below what is over": f"""
            SELECT c.run, c.name FROM action c JOIN action p ON p.run = c.run AND p.name = c.parent
             WHERE p.phase IN ({over}) AND c.phase NOT IN ({over})""",
        "ended twice": f"""
            SELECT run, action AS name FROM event WHERE phase IN ({over}) GROUP BY run, action, attempt
            HAVING count(*) > 1""",
        "a timer of what is over": f"""
            SELECT a.run, a.name FROM action a JOIN timer t ON t.run = a.run AND t.action = a.name
             WHERE a.phase IN ({over})""",
        "lasted less than nothing": "SELECT run, name FROM action WHERE duration_ms < 0",
        "reserved by what is over": f"""
            SELECT a.run, a.name FROM action a JOIN cache_reservation r ON r.run = a.run AND r.action = a.name
             WHERE a.phase IN ({over})""",
        "waits for a reservation that nobody has": """
            SELECT run, action AS name FROM queue q WHERE reservation IS NOT NULL
               AND NOT EXISTS (SELECT 1 FROM cache_reservation r WHERE r.name = q.reservation)""",
    }
    found: list[tuple[str, str]] = []
    for what, query in wrong.items():
        rows: list[Row] = list(await tx.fetch(query))
        found += [(what, f"{row['run']}/{row['name']}") for row in rows]
    return found
