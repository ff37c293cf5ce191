"""A process that dies at any of its writes loses no slot and doubles none: whoever comes next goes on where it was."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from tests.compose.fired import MINUTE, T0
from wingbeat.compose.dag_provenance import DagProvenance
from wingbeat.compose.namespace import Dag, DagContext, Namespace, inline
from wingbeat.compose.trigger import TriggerManager, TriggerStore
from wingbeat.compose.trigger_manager import LEASE
from wingbeat.store.compose.jobs import Job
from wingbeat.store.compose.writer import Writer
from wingbeat.testing import FakeClock

SLOTS = [T0 + n * MINUTE for n in (1, 2, 3)]


def asked() -> dict[str, str]:
    return {"word": "asked"}


def program(folder: Path, clock: FakeClock, *, polls: bool) -> TriggerManager:
    """Each node notes that it has run."""

    @inline
    def first(ctx: DagContext, word: str = "due") -> int:
        note(ctx)
        return len(word)

    @inline
    def second(ctx: DagContext, n: int) -> int:
        note(ctx)
        return n + 1

    def note(ctx: DagContext) -> None:
        with (folder / "ledger.txt").open("a") as ledger:
            ledger.write(f"{ctx.scheduled_for} {ctx.node_label}\n")

    namespace, dag = Namespace(), Dag()
    _ = dag.node(first) >> dag.node(second)
    namespace.register(dag, nsref="a:dag")
    poll_fn = asked if polls else None
    namespace.register_trigger("t", "a:dag", "poll", "* * * * *", poll_fn, misfire="all", overlap="queue")
    store = TriggerStore(folder / "triggers.db", clock=clock)
    return TriggerManager(namespace, store, DagProvenance(folder / "runs.db"))


def live(folder: Path, *, polls: bool) -> None:
    """Three slots are due at once."""
    clock = FakeClock(T0)
    manager = program(folder, clock, polls=polls)
    manager.activate("t")
    clock.forward(3 * MINUTE)
    asyncio.run(manager.tick())


def die_after(write: int) -> None:
    """From now on in this process; nothing of the next write is in a file."""
    write_group: Callable[[Writer, list[Job]], None] = Writer._write_group
    left = [write]

    def dying(self: Writer, jobs: list[Job]) -> None:
        write_group(self, jobs)
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    Writer._write_group = dying


def in_child(body: Callable[[], None]) -> int:
    """How it ended: 0, or the signal below zero."""
    child = os.fork()
    if not child:
        try:
            body()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("write", range(1, 21))
@pytest.mark.parametrize("polls", [pytest.param(False, id="by schedule"), pytest.param(True, id="by a function")])
def test_who_dies_at_a_write_loses_and_doubles_nothing(tmp_path: Path, write: int, polls: bool) -> None:
    program(tmp_path, FakeClock(T0), polls=polls).activate("t")

    def die() -> None:
        die_after(write)
        live(tmp_path, polls=polls)

    ended = in_child(die)
    assert ended in (0, -signal.SIGKILL)
    clock = FakeClock(SLOTS[-1])
    manager = program(tmp_path, clock, polls=polls)
    asyncio.run(manager.tick())
    clock.forward(LEASE + timedelta(seconds=1))
    asyncio.run(manager.tick())
    events = manager.store.get_events("t")
    assert sorted(event["scheduled_for"] for event in events) == [slot.timestamp() for slot in SLOTS]
    assert {event["status"] for event in events} == {"completed"}
    runs = DagProvenance(tmp_path / "runs.db").get_recent_runs(trigger_name="t")
    assert sorted(run.run_id for run in runs) == sorted(event["run_id"] for event in events)
    assert {run.status for run in runs} == {"completed"}
    noted = Counter((tmp_path / "ledger.txt").read_text().splitlines())
    assert set(noted) == {f"{slot} {label}" for slot in SLOTS for label in ("first", "second")}
    assert sum(noted.values()) <= len(noted) + 1, "only the node that was running has run again"
