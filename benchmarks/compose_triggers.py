"""Many triggers of the embedded library: 1,000 that are due in the same second, then 100,000 that have nothing to do.

    python benchmarks/compose_triggers.py directory

Its last line is JSON.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from wingbeat.compose.dag_provenance import DagProvenance
from wingbeat.compose.namespace import DagContext, Namespace
from wingbeat.compose.trigger import TriggerManager, TriggerStore

IDLE = 100_000
DUE = 1_000
SECONDS = 5.0
DUE_SECONDS = 10.0
"""Until all of them must have started."""
BEAT = 0.001


@asynccontextmanager
async def watched_loop() -> AsyncGenerator[list[float]]:
    """Milliseconds by which the loop comes late to one who asks for it every millisecond."""
    late: list[float] = []

    async def beat() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(BEAT)
            late.append((time.perf_counter() - began - BEAT) * 1000)

    task = asyncio.create_task(beat())
    try:
        yield late
    finally:
        task.cancel()


def manager_of(namespace: Namespace, folder: Path) -> TriggerManager:
    return TriggerManager(namespace, TriggerStore(folder / "triggers.db"), DagProvenance(folder / "runs.db"))


async def percent_of_a_core() -> float:
    before = time.process_time()
    await asyncio.sleep(SECONDS)
    return 100 * (time.process_time() - before) / SECONDS


async def idle(folder: Path) -> tuple[float, float, float]:
    """Percent of a core while nothing is due; the longest time in milliseconds that the loop was blocked, and for
    comparison what the machine did to a loop that had nothing else to do.
    """
    namespace = Namespace()
    namespace.register(lambda: None, nsref="bench:idle")
    far = (datetime.now(UTC) + timedelta(hours=12)).hour
    for number in range(IDLE):
        namespace.register_trigger(f"t{number:06}", "bench:idle", "poll", f"{number % 60} {far} * * *")
    manager = manager_of(namespace, folder)
    began = time.perf_counter()
    manager.activate_configured()
    print(f"{IDLE:,} triggers activated in {time.perf_counter() - began:.1f} s")
    async with watched_loop() as late:
        await asyncio.sleep(SECONDS)
        alone = max(late)
        late.clear()
        manager.start()
        await asyncio.sleep(SECONDS)
    busy = await percent_of_a_core()
    await manager.aclose()
    return busy, max(late), alone


async def due_at_once(folder: Path) -> float:
    """Seconds from the slot of 1,000 triggers until the last of their nodes began."""
    namespace, late, all_began = Namespace(), list[float](), asyncio.Event()

    async def began(context: DagContext) -> None:
        assert context.scheduled_for is not None
        late.append((datetime.now(UTC) - context.scheduled_for).total_seconds())
        if len(late) == DUE:
            all_began.set()

    namespace.register(began, nsref="bench:due")
    for number in range(DUE):
        namespace.register_trigger(f"t{number:04}", "bench:due", "poll", "*/5 * * * * *")
    manager = manager_of(namespace, folder)
    manager.activate_configured()
    manager.start()
    async with asyncio.timeout(DUE_SECONDS):
        await all_began.wait()
    manager.stop()
    await manager.aclose()
    return max(late)


async def main() -> None:
    folder = Path(sys.argv[1])
    late = await due_at_once(folder / "due")
    busy, blocked, alone = await idle(folder / "idle")
    found = {
        "100,000 idle triggers, percent of a core": busy,
        "100,000 idle triggers, longest block of the loop, ms": blocked,
        "longest block of a loop without triggers, ms": alone,
        "1,000 due at once, lateness of the last start, s": late,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main())
