"""What is simulated: schedulers, triggers with their true histories, and the judgement over what the ledger gets.

All that happens follows from one number, and is told before it happens. What may happen is in `moves.py`.
"""

import random
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from structlog.testing import capture_logs

from tests.deployed import TASK, deploy_task, trigger
from tests.simulation.auditor import Coverage, audit, check
from tests.simulation.model import UNBOUNDED, History
from tests.simulation.world import FaultyDatabase, Program, SteppingClock, start
from wingbeat.core.action import Success
from wingbeat.core.ids import TaskId
from wingbeat.core.policy import CatchUp, Overlap, Policies
from wingbeat.core.project import Project, ProjectState
from wingbeat.core.schedule import Every, FixedRate, Schedule, parse
from wingbeat.core.trigger import MAX_BACKOFF
from wingbeat.loops.scheduler import Pace
from wingbeat.operations import actions, firing, projects
from wingbeat.operations.actions import NO_RETRIES
from wingbeat.store.database import Database, Transaction, open_database
from wingbeat.telemetry import Metrics

SECOND = timedelta(seconds=1)
UNLIMITED = Pace(cycle=timedelta(seconds=30), catch_up=0, rate=0, burst=0)
PACES = (
    UNLIMITED,
    UNLIMITED,
    Pace(cycle=timedelta(seconds=30), catch_up=7, rate=0, burst=0),
    Pace(cycle=timedelta(seconds=30), catch_up=100, rate=10, burst=20),
    Pace(cycle=timedelta(seconds=30), catch_up=3, rate=1, burst=2),
)
TASKS = (
    TASK,
    replace(TASK, version="v2"),
    replace(TASK, project="other"),
    replace(TASK, project="other", version="v2"),
)


@dataclass(frozen=True, slots=True)
class Tempo:
    """How dense slots are, and how far time goes at once."""

    schedules: tuple[Schedule | None, ...]
    longest_pause: timedelta
    longest_jump: timedelta


FAST = Tempo(
    (Every(SECOND), Every(3 * SECOND), FixedRate(5 * SECOND), parse("* * * * *"), parse("@every 7s"), None),
    longest_pause=30 * SECOND,
    longest_jump=150 * SECOND,
)
SLOW = Tempo(
    (
        parse("*/10 * * * *"),
        parse("0 * * * *", "Europe/Berlin"),
        FixedRate(timedelta(minutes=25), start=datetime.fromisoformat("2026-01-01T05:00:00+00:00")),
        FixedRate(timedelta(minutes=90)),
        Every(timedelta(minutes=7)),
        parse("0 0 31 2 *"),
        None,
    ),
    longest_pause=timedelta(hours=3),
    longest_jump=timedelta(hours=12),
)


class Simulation:
    """The world, what its triggers were told, and what is known to be wrong on purpose."""

    def __init__(self, seed: int, directory: Path, tell: Callable[[str], None]) -> None:
        self.random = random.Random(seed)
        self.clock = SteppingClock()
        self.tempo = self.random.choice((FAST, SLOW))
        self.pace = self.random.choice(PACES)
        self.url = str(directory / "wingbeat.db")
        self.metrics = Metrics()
        self.histories: list[History] = []
        self.programs: list[Program] = []
        self.poisoned: set[int] = set()
        self.sick_until: dict[int, datetime] = {}
        """When the last back-off of a trigger that was poisoned is over, seen from its last failure on."""
        self.archived: set[str] = set()
        self._tell = tell
        self._witnessed = 0
        self._started = 0
        self._logs: list[Any] = []

    async def open(self, programs: int, triggers: int) -> None:
        self.database: Database = await open_database(self.url, self.clock)
        self.operator = FaultyDatabase(self.database)
        for task in TASKS:
            await deploy_task(self.database, task)
        await self.database.write(_call_witness)
        for number in range(triggers):
            self.histories.append(History(trigger(f"t{number}", task=TASKS[2 * (number % 2)]).name))
        for _ in range(programs):
            await self.start_program()

    async def close(self) -> None:
        for program in self.programs:
            await program.end()
        await self.database.close()

    def tell(self, move: str) -> None:
        self._tell(f"{self.clock.now:%m-%d %H:%M:%S.%f} {move}")

    async def start_program(self) -> None:
        self._started += 1
        self.programs.append(await start(f"s{self._started}", self.url, self.clock, self.pace, self.metrics))

    async def replace_program(self, program: Program) -> None:
        """The program is dead; another one takes its place."""
        await program.end()
        self.programs.remove(program)
        await self.start_program()

    @contextmanager
    def poisoning(self) -> Generator[None]:
        """Inside, planning a run of a poisoned trigger is a bug; and no other trigger may have one."""
        plan = firing.runs.plan

        def faulty(order: firing.RunOrder, **rest: Any) -> Any:
            if order.slot and order.trigger and order.trigger.id in self.poisoned:
                raise ZeroDivisionError("poison")
            return plan(order, **rest)

        with mock.patch.object(firing.runs, "plan", faulty), capture_logs() as self._logs:
            yield

    def by_id(self) -> dict[int, History]:
        return {history.id: history for history in self.histories if history.id}

    def task_of(self, history: History, version: str) -> TaskId:
        return next(task for task in TASKS if task.project == history.name.project and task.version == version)

    async def audit(self) -> dict[int, Coverage]:
        return await audit(self.database, self.by_id(), now=self.clock.now, latest=self.clock.latest)

    async def observe(self, *, by_change: History | None = None) -> None:
        """Judge what the ledger got since the last look, while it is known who did it."""
        self._judge_logs()
        rows = await self.database.read(
            lambda tx: tx.fetch("SELECT * FROM witness WHERE seq > $1 ORDER BY seq", self._witnessed)
        )
        by_id = self.by_id()
        for trigger_id in await self.database.read(_failing):
            self.sick_until[trigger_id] = self.clock.latest + MAX_BACKOFF
        for row in rows:
            self._witnessed = row["seq"]
            history = by_id[row["trigger_id"]]
            name = history.name.name
            if row["outcome"] == "fired":
                check(by_change is None, f"{name} fired by a change")
                check(history.active, f"{name} fired though it is not active")
                check(history.id not in self.poisoned, f"{name} fired though it cannot")
                check(history.name.project not in self.archived, f"{name} fired in an archived project")
            elif "archived" in row["reason"]:
                check(history.name.project in self.archived, f"{name} missed a slot of an active project")
            elif "before it could fire" in row["reason"]:
                check(by_change is history and not history.active, f"{name} missed a slot, but nobody stopped it")
            else:
                said = (history.current.policies, history.era(row["revision"]).policies)
                check(any(_says(policies, row["reason"]) for policies in said), f"{name} says why not", row["reason"])

    def _judge_logs(self) -> None:
        logs, self._logs[:] = list(self._logs), []
        for entry in logs:
            culprit = entry.get("trigger_id")
            expected = culprit in self.poisoned if culprit else bool(self.poisoned)
            check(expected, "an error nobody made", entry)

    async def check_prompt(self, program: Program) -> None:
        """After an undisturbed round nothing that is due waits, except behind the rate.

        Moments that pass again after the clock stepped back are decided already, so nobody looks at them.
        """
        if program.scheduler._tokens.seconds_to_next(self.clock.steady()) > 0 or self.clock.now < self.clock.latest:
            return
        for trigger_id, coverage in (await self.audit()).items():
            if trigger_id in self.poisoned or self.sick_until.get(trigger_id, self.clock.now) > self.clock.now:
                continue
            history = self.by_id()[trigger_id]
            waiting = ("due",) if program.pace.catch_up else ("due", "in the backlog")
            if history.current.policies.ordered:
                waiting = ("due",)
            waits = [
                slot
                for slot, revision in history.owed(self.clock.now).items()
                if coverage[slot].where in waiting
                and not history.era(revision).policies.ordered
                and self._is_due(slot, history, revision)
            ]
            check(not waits, f"{history.name.name} waits though nothing is in its way", waits[:5])

    async def settle(self) -> None:
        """Heal everything, let the longest back-off pass, and see all that was ever owed decided."""
        self.tell("the end: heal everything, and one more program without limits")
        self.poisoned.clear()
        await self.observe()
        for name in sorted(self.archived):
            active = Project(name, name, "", b"", ProjectState.ACTIVE)
            await self.database.write(lambda tx, project=active: projects.update(tx, project))
        self.archived.clear()
        self.clock.forward(self.clock.latest - self.clock.now + MAX_BACKOFF + SECOND)
        self.pace = UNLIMITED
        await self.start_program()
        for _ in range(2):
            await self.programs[-1].round()
            await self.observe()
        waiting = await self._waiting()
        for _ in range(5):
            await self.end_runs(UNBOUNDED)
            await self.programs[-1].round()
            await self.observe()
            before, waiting = waiting, await self._waiting()
            check(waiting < before or not waiting, "slots wait though all runs have ended", waiting)

    async def _waiting(self) -> int:
        """How many slots wait for the end of a run. All others that were ever owed are decided."""
        waiting = 0
        for trigger_id, coverage in (await self.audit()).items():
            history = self.by_id()[trigger_id]
            undecided = [
                slot
                for slot, revision in history.owed(self.clock.now).items()
                if coverage[slot].where in ("due", "in the backlog") and self._is_due(slot, history, revision)
            ]
            if history.current.policies.ordered:
                waiting += sum(covered.where == "in the backlog" for covered in coverage.values())
                undecided = [slot for slot in undecided if coverage[slot].where == "due"]
            check(not undecided, f"{history.name.name} has slots that nobody decides", undecided[:5])
        return waiting

    def _is_due(self, slot: datetime, history: History, revision: int) -> bool:
        jitter = max(history.current.policies.jitter, history.era(revision).policies.jitter)
        return slot + jitter <= self.clock.now

    async def end_runs(self, count: int) -> None:
        """The oldest runs are claimed by a node and end."""

        async def body(tx: Transaction) -> None:
            for claim in await actions.claim(tx, "n1", count):
                await actions.finished(tx, claim.id, claim.token, Success(), retries=NO_RETRIES, chance=0.5)

        await self.database.write(body)


def _says(policies: Policies, reason: str) -> bool:
    """Whether it is a reason for a slot to come to nothing under these policies."""
    reasons = {
        "outside the catch-up window": policies.catch_up_window is not None,
        "late, and not to be caught up": policies.catch_up is CatchUp.NONE,
        "superseded by a later slot": policies.catch_up is CatchUp.LATEST or policies.overlap is Overlap.CANCEL_OTHER,
        "the run before it was not over": policies.overlap is Overlap.SKIP,
        "another slot waited already for the run before it to end": policies.overlap is Overlap.BUFFER_ONE,
        f"max-runs {policies.max_runs} is reached": policies.max_runs is not None,
    }
    return reasons.get(reason, False)


async def _failing(tx: Transaction) -> list[int]:
    return [row["trigger_id"] for row in await tx.fetch("SELECT trigger_id FROM schedule WHERE failures > 0")]


async def _call_witness(tx: Transaction) -> None:
    """Remember in which order the ledger was written, and that nothing in it was changed."""
    columns = "trigger_id, revision, outcome, reason"
    await tx.execute(f"CREATE TABLE witness (seq INTEGER PRIMARY KEY, {columns})")
    await tx.execute(
        f"""
        CREATE TRIGGER fire_is_written AFTER INSERT ON fire WHEN new.kind = 'schedule' BEGIN
            INSERT INTO witness ({columns}) VALUES (new.trigger_id, new.revision, new.outcome, new.reason);
        END
        """
    )
    for change in ("UPDATE", "DELETE"):
        await tx.execute(
            f"CREATE TRIGGER no_{change.lower()}_of_fire BEFORE {change} ON fire"
            " BEGIN SELECT raise(ABORT, 'the ledger never changes'); END"
        )
