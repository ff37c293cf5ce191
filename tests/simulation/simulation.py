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

from tests.deployed import DEFAULTS, DOMAINS, TASK, deploy_task, trigger
from tests.simulation import witness
from tests.simulation.auditor import Coverage, audit, check
from tests.simulation.backfilling import Asked, audit_backfills
from tests.simulation.judgement import judge
from tests.simulation.model import UNBOUNDED, History
from tests.simulation.world import FaultyDatabase, Loop, Program, SteppingClock, start
from wingbeat.core.action import ErrorKind, Failure, Success
from wingbeat.core.backfill import BackfillState
from wingbeat.core.ids import TaskId
from wingbeat.core.project import Project, ProjectState
from wingbeat.core.schedule import Every, FixedRate, Schedule, parse
from wingbeat.core.trigger import MAX_BACKOFF
from wingbeat.loops.backfiller import Backfiller
from wingbeat.loops.resumer import Resumer
from wingbeat.loops.scheduler import Pace, Scheduler
from wingbeat.operations import actions, firing, projects
from wingbeat.operations.actions import NO_RETRIES
from wingbeat.operations.firing import Firer
from wingbeat.store.database import Database, Transaction, open_database
from wingbeat.telemetry import Metrics

SECOND = timedelta(seconds=1)
FIRER = Firer(DEFAULTS, DOMAINS)
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
        self.backfills: dict[str, Asked] = {}
        self.failing = self.random.choice((0, 0.3, 0.9))
        """How likely a run is to fail."""
        self._tell = tell
        self._witnessed = 0
        self._started = 0
        self._logs: list[Any] = []

    async def open(self, programs: int, triggers: int) -> None:
        self.database: Database = await open_database(self.url, self.clock)
        self.operator = FaultyDatabase(self.database)
        for task in TASKS:
            await deploy_task(self.database, task)
        await self.database.write(witness.call)
        for number in range(triggers):
            self.histories.append(History(trigger(f"t{number}", task=TASKS[2 * (number % 2)]).name))
        for _ in range(programs):
            await self.start_program(self.scheduler)
        await self.start_program(self.backfiller)
        await self.start_program(Resumer)

    async def close(self) -> None:
        for program in self.programs:
            await program.end()
        await self.database.close()

    def tell(self, move: str) -> None:
        self._tell(f"{self.clock.now:%m-%d %H:%M:%S.%f} {move}")

    def scheduler(self, database: Database) -> Scheduler:
        return Scheduler(database, FIRER, pace=self.pace, steady=self.clock.steady, metrics=self.metrics)

    def backfiller(self, database: Database) -> Backfiller:
        return Backfiller(database, FIRER, self.metrics)

    async def start_program(self, loop_on: Callable[[Database], Loop]) -> Program:
        self._started += 1
        self.programs.append(await start(str(self._started), self.url, self.clock, loop_on))
        return self.programs[-1]

    async def replace_program(self, program: Program) -> None:
        """The program is dead; another one takes its place."""
        await program.end()
        self.programs.remove(program)
        await self.start_program(program.loop_on)

    @contextmanager
    def poisoning(self) -> Generator[None]:
        """Inside, planning a run of a poisoned trigger is a bug; and no other trigger may have one."""
        plan = firing.planning.plan

        def faulty(order: firing.RunOrder, **rest: Any) -> Any:
            if order.slot and order.trigger and order.trigger.id in self.poisoned:
                raise ZeroDivisionError("poison")
            return plan(order, **rest)

        with mock.patch.object(firing.planning, "plan", faulty), capture_logs() as self._logs:
            yield

    def by_id(self) -> dict[int, History]:
        return {history.id: history for history in self.histories if history.id}

    def task_of(self, history: History, version: str) -> TaskId:
        return next(task for task in TASKS if task.project == history.name.project and task.version == version)

    def end_era(self, history: History, *, active: bool) -> None:
        """It goes on as it is, but active or not."""
        era = history.current
        now, latest = self.clock.now, self.clock.latest
        history.changed(era.schedule, active=active, policies=era.policies, now=now, latest=latest)

    async def audit(self) -> dict[int, Coverage]:
        coverage = await audit(self.database, self.by_id(), now=self.clock.now, latest=self.clock.latest)
        await audit_backfills(self, coverage)
        return coverage

    async def observe(self, *, by_change: History | None = None) -> None:
        """Judge what was written since the last look, while it is known who did it."""
        self._judge_logs()
        for trigger_id in await self.database.read(_failing):
            self.sick_until[trigger_id] = self.clock.latest + MAX_BACKOFF
        rows = await self.database.read(lambda tx: witness.hear(tx, self._witnessed))
        if rows:
            self._witnessed = rows[-1]["seq"]
            await judge(self, rows, by_change)

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
        scheduler = program.loop
        if not isinstance(scheduler, Scheduler) or self.clock.now < self.clock.latest:
            return
        if scheduler._tokens.seconds_to_next(self.clock.steady()) > 0:
            return
        for trigger_id, coverage in (await self.audit()).items():
            if trigger_id in self.poisoned or self.sick_until.get(trigger_id, self.clock.now) > self.clock.now:
                continue
            history = self.by_id()[trigger_id]
            waiting = ("due",) if scheduler._pace.catch_up else ("due", "in the backlog")
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
        self.pace, self.failing = UNLIMITED, 0
        scheduler = await self.start_program(self.scheduler)
        await self._rounds(scheduler, 2)
        waiting = await self._waiting()
        for _ in range(5):
            await self.end_runs(UNBOUNDED)
            await self._rounds(scheduler, 1)
            before, waiting = waiting, await self._waiting()
            check(waiting < before or not waiting, "slots wait though all runs have ended", waiting)
        self._check_paused()
        await self._finish_backfills()

    async def _rounds(self, scheduler: Program, number: int) -> None:
        for _ in range(number):
            for program in (await self.start_program(Resumer), scheduler):
                await program.round()
                await self.observe()

    def _check_paused(self) -> None:
        """Word of every end was heard, and pauses that are over have ended."""
        for history in self.by_id().values():
            most, held = history.current.policies.pause_after_failures, history.held
            failed = history.active and most is not None and history.failures_in_a_row >= most
            check(not failed, f"{history.name.name} goes on though its runs fail", history.failures_in_a_row)
            over = held is not None and held.until is not None and held.until <= self.clock.now
            check(not over, f"the pause of {history.name.name} does not end", held)

    async def _finish_backfills(self) -> None:
        backfiller = await self.start_program(self.backfiller)
        for _ in range(1 + max((len(each.slots) for each in self.backfills.values()), default=0)):
            await backfiller.round()
            await self.observe()
            await self.end_runs(UNBOUNDED)
        await backfiller.round()
        await self.audit()
        going = [each.id for each in self.backfills.values() if each.state is BackfillState.RUNNING]
        check(not going, "backfills do not end", going)

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
        """The oldest runs are claimed by a node and end, well or not."""
        ended = await self.database.write(lambda tx: _end_runs(tx, count, lambda: self.random.random() < self.failing))
        by_id = self.by_id()
        for trigger_id, revision, failed in ended:
            by_id[trigger_id].ends.append((revision, failed))


async def _end_runs(tx: Transaction, count: int, fails: Callable[[], bool]) -> list[tuple[int, int, bool]]:
    """Of runs that triggers watch: the trigger, its revision, and whether the run failed."""
    backfilled = {row["run_name"] for row in await tx.fetch("SELECT run_name FROM fire WHERE kind = 'backfill'")}
    ended: list[tuple[int, int, bool]] = []
    for claim in await actions.claim(tx, "n1", count):
        failed = fails()
        outcome = Failure("USER", ErrorKind.USER, "it fails") if failed else Success()
        await actions.finished(tx, claim.id, claim.token, outcome, retries=NO_RETRIES, chance=0.5)
        by = claim.action.trigger
        if by is not None and claim.run.id.name not in backfilled:
            ended.append((by.id, by.revision, failed))
    return ended


async def _failing(tx: Transaction) -> list[int]:
    return [row["trigger_id"] for row in await tx.fetch("SELECT trigger_id FROM schedule WHERE failures > 0")]
