"""The same schedule under the same policies fires for the same slots at the same moments embedded and on the server.

Both faces live through the same story by the same clock: time passes while they look, or while nobody does, and the
trigger is paused, resumed and changed. Runs end at once.
"""

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.compose.fired import Runs
from tests.deployed import DEFAULTS, DOMAINS, deploy_task, trigger
from tests.ledger import newest_entries
from wingbeat.compose.firing import schedules
from wingbeat.compose.namespace import Namespace
from wingbeat.compose.trigger import TriggerManager, TriggerStore
from wingbeat.core import policy, schedule
from wingbeat.core.action import Success
from wingbeat.core.trigger import Deployment
from wingbeat.loops.scheduler import Pace, Scheduler
from wingbeat.operations import actions, triggers
from wingbeat.operations.actions import NO_RETRIES
from wingbeat.operations.firing import Firer
from wingbeat.store.database import Database, Transaction, open_database
from wingbeat.store.fires import Fire, Outcome
from wingbeat.telemetry import Metrics
from wingbeat.testing import FakeClock

MINUTE = timedelta(minutes=1)
UNLIMITED = Pace(cycle=timedelta(seconds=30), catch_up=0, rate=0, burst=0)
BEGINNINGS = (
    datetime(2026, 3, 28, 22, 30, tzinfo=UTC),  # before Berlin's clocks go forward
    datetime(2026, 10, 24, 22, 10, 30, tzinfo=UTC),  # and back
    datetime(2026, 3, 8, 5, 59, 59, 500_000, tzinfo=UTC),  # New York
    datetime(2026, 4, 4, 14, tzinfo=UTC),  # Lord Howe Island, by half an hour
    datetime(2026, 2, 28, 23, 55, tzinfo=UTC),
)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
EXPRESSIONS = (
    "*/15 * * * *", "7 * * * *", "30 2 * * *", "15,45 1-3 * * *", "0 0 * * SUN", "@every 25m", "@hourly", "0 9 1 * *",
)  # fmt: skip
MISFIRES = {"once": "latest", "all": "all", "skip": "none"}
OVERLAPS = {"skip": "skip", "queue": "buffer-all", "allow": "allow"}


@dataclass(frozen=True)
class Wish:
    """A trigger as both faces are told it."""

    expression: str
    zone: str
    misfire: str
    overlap: str
    grace: timedelta | None
    jitter: timedelta | None
    start: datetime | None
    end: datetime | None

    @property
    def embedded(self) -> Mapping[str, Any]:
        return {
            "schedule": self.expression, "timezone": self.zone, "misfire": self.misfire, "overlap": self.overlap,
            "grace": self.grace, "jitter": self.jitter, "start": self.start, "end": self.end,
        }  # fmt: skip

    @property
    def deployment(self) -> Deployment:
        said = {
            "catch-up": MISFIRES[self.misfire],
            "overlap": OVERLAPS[self.overlap],
            "catch-up-window": _text(self.grace),
            "jitter": _text(self.jitter),
            "start": self.start and self.start.isoformat(),
            "end": self.end and self.end.isoformat(),
        }
        policies = policy.parse({f"wingbeat/{name}": text for name, text in said.items() if text})
        return replace(trigger("t", schedule.parse(self.expression, self.zone)), policies=policies)


def _text(length: timedelta | None) -> str | None:
    return None if length is None else f"{length // timedelta(seconds=1)}s"


Moments = tuple[datetime, datetime]
"""The slot of a fire, and when it fired."""
Move = tuple[str, Any]
"""What happens, and a length of time or a wish."""
LAST: Sequence[Move] = [("look after", timedelta(hours=2)), ("look after", timedelta(hours=2))]
LENGTHS = st.sampled_from([timedelta(seconds=40), 10 * MINUTE, 35 * MINUTE, 100 * MINUTE, 9 * 60 * MINUTE])


@st.composite
def wishes(draw: st.DrawFn, begin: datetime) -> Wish:
    bounds = st.none() | st.integers(0, 30).map(lambda hours: begin.replace(microsecond=0) + timedelta(hours=hours))
    start, end = draw(bounds), draw(bounds)
    return Wish(
        expression=draw(st.sampled_from(EXPRESSIONS)),
        zone=draw(st.sampled_from(ZONES)),
        misfire=draw(st.sampled_from(sorted(MISFIRES))),
        overlap=draw(st.sampled_from(sorted(OVERLAPS))),
        grace=draw(st.none() | st.sampled_from([30 * MINUTE, 180 * MINUTE])),
        jitter=draw(st.none() | st.sampled_from([timedelta(seconds=30), 20 * MINUTE])),
        start=start,
        end=None if start and end and end < start else end,
    )


@st.composite
def stories(draw: st.DrawFn) -> tuple[datetime, Wish, Sequence[Move]]:
    begin = draw(st.sampled_from(BEGINNINGS))
    move = st.one_of(
        st.tuples(st.just("look after"), LENGTHS),
        st.tuples(st.just("look at the next slot and"), st.sampled_from([timedelta(), timedelta(seconds=20)])),
        st.tuples(st.just("nobody looks for"), LENGTHS),
        st.tuples(st.sampled_from(["pause", "resume"]), st.none()),
        st.tuples(st.just("change to"), wishes(begin)),
    )
    return begin, draw(wishes(begin)), draw(st.lists(move, min_size=2, max_size=8))


class Embedded:
    def __init__(self, path: Path, clock: FakeClock) -> None:
        self._runs = Runs()
        self._store = TriggerStore(path, clock=clock)

    async def deploy(self, wish: Wish) -> None:
        namespace = Namespace()
        namespace.register_trigger("t", "a:dag", "poll", **wish.embedded)
        self._manager = TriggerManager(namespace, self._store, runner=self._runs)
        self._manager.activate("t")

    async def pause(self) -> None:
        self._manager.pause("t")

    async def resume(self) -> None:
        self._manager.resume("t")

    async def look(self) -> None:
        await self._manager.tick()

    async def fired(self) -> list[Moments]:
        events = [event for event in self._store.get_events("t", limit=10_000) if event["run_id"] is not None]
        slots = [datetime.fromtimestamp(event["scheduled_for"], UTC) for event in events]
        assert sorted(slots) == sorted(filter(None, self._runs.slots))
        return sorted(zip(slots, (datetime.fromtimestamp(event["fired_at"], UTC) for event in events), strict=True))

    async def came_to_nothing(self) -> Counter[str]:
        """Slots, by outcome."""
        found: Counter[str] = Counter()
        for event in self._store.get_events("t", limit=10_000):
            if event["run_id"] is None:
                found[event["status"]] += event["slots"]
            else:
                found["skipped"] += event["slots"] - 1
        return found


class Server:
    def __init__(self, database: Database, clock: FakeClock, name: str) -> None:
        self._database = database
        self._name = replace(trigger().name, name=name)
        self._scheduler = Scheduler(
            database,
            Firer(DEFAULTS, DOMAINS),
            pace=UNLIMITED,
            steady=lambda: clock.now.timestamp(),
            metrics=Metrics(),
        )
        self.trigger_id = 0

    async def deploy(self, wish: Wish) -> None:
        wanted = replace(wish.deployment, name=self._name)

        async def body(tx: Transaction) -> int:
            return (await triggers.deploy(tx, wanted, by="tests", domains=DOMAINS)).id

        self.trigger_id = await self._database.write(body)

    async def pause(self) -> None:
        await self._set_active(active=False)

    async def resume(self) -> None:
        await self._set_active(active=True)

    async def look(self) -> None:
        await self._scheduler.tick()
        while await self._database.write(_end_runs):
            await self._scheduler.tick()

    async def fired(self) -> list[Moments]:
        return sorted((fire.first_slot, at) for at, fire in await self._fires(Outcome.FIRED) if fire.first_slot)

    async def came_to_nothing(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for outcome in (Outcome.SKIPPED, Outcome.MISSED):
            found[outcome] += sum(fire.count for _, fire in await self._fires(outcome))
        return found

    async def delete(self) -> None:
        await self._database.write(lambda tx: triggers.delete(tx, [self._name], by="tests"))

    async def _set_active(self, *, active: bool) -> None:
        await self._database.write(lambda tx: triggers.set_active(tx, [self._name], active, by="tests"))

    async def _fires(self, outcome: Outcome) -> list[tuple[datetime, Fire]]:
        rows = await self._database.read(lambda tx: newest_entries(tx, self.trigger_id, limit=10_000))
        return [(at, fire) for at, fire in rows if fire.outcome is outcome]


async def _end_runs(tx: Transaction) -> int:
    claims = await actions.claim(tx, "n1", 1_000)
    for claim in claims:
        await actions.finished(tx, claim.id, claim.token, Success(), retries=NO_RETRIES, chance=0.5)
    return len(claims)


async def live(story: tuple[datetime, Wish, Sequence[Move]], faces: tuple[Embedded, Server], clock: FakeClock) -> None:
    begin, wish, moves = story
    active = True
    for kind, value in [*moves, *LAST]:
        match kind:
            case "nobody looks for" | "look after":
                clock.forward(value)
            case "look at the next slot and":
                slot = schedule.next_after(schedule.parse(wish.expression, wish.zone), clock.now, begin)
                assert slot is not None
                clock.now = slot + value
            case "change to" if value != wish or not active:
                wish, active = value, True
                for face in faces:
                    await face.deploy(wish)
            case "pause" if active:
                active = False
                for face in faces:
                    await face.pause()
            case "resume" if not active:
                active = True
                for face in faces:
                    await face.resume()
            case _:
                continue
        if kind.startswith("look"):
            for face in faces:
                await face.look()


class Worlds:
    """A server for all stories, and an embedded file for each."""

    def __init__(self, runner: asyncio.Runner, folder: Path) -> None:
        self.clock = FakeClock(BEGINNINGS[0])
        self._runner = runner
        self._folder = folder
        self._numbers = count()
        self._database = runner.run(open_database(str(folder / "wingbeat.db"), self.clock))
        runner.run(deploy_task(self._database))

    def close(self) -> None:
        self._runner.run(self._database.close())

    def live(self, story: tuple[datetime, Wish, Sequence[Move]]) -> None:
        self._runner.run(self._live(story))

    async def _live(self, story: tuple[datetime, Wish, Sequence[Move]]) -> None:
        number = next(self._numbers)
        self.clock.now = story[0]
        server = Server(self._database, self.clock, f"t{number}")
        embedded = Embedded(self._folder / f"{number}.db", self.clock)
        # Jitter depends on the trigger, which has a number on the server and a name here.
        await server.deploy(story[1])
        with mock.patch.object(schedules, "_number", return_value=server.trigger_id):
            await embedded.deploy(story[1])
            await live(story, (embedded, server), self.clock)
        fired, nothing = await server.fired(), await server.came_to_nothing()
        await server.delete()
        assert await embedded.fired() == fired
        assert await embedded.came_to_nothing() == nothing


@pytest.fixture(scope="module")
def worlds() -> Generator[Worlds]:
    folder = Path(tempfile.mkdtemp(prefix="wingbeat-faces-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    with asyncio.Runner() as runner:
        worlds = Worlds(runner, folder)
        yield worlds
        worlds.close()
    shutil.rmtree(folder)


@settings(max_examples=100)
@given(story=stories())
def test_both_faces_fire_at_the_same_moments(worlds: Worlds, story: tuple[datetime, Wish, Sequence[Move]]) -> None:
    worlds.live(story)
