"""The loops of one server: started together, told to stop together, each ending with the round it is in."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from wingbeat.loops import loop
from wingbeat.loops.loop import IDLE_SECONDS, Tick
from wingbeat.store.changes import Changes

STOP_SECONDS = 10.0
"""A round that takes longer than this is cancelled: its transaction is rolled back and done again later."""


@dataclass(frozen=True, slots=True)
class Loop:
    name: str
    tick: Tick
    topics: tuple[str, ...] = ()
    """What changes of these wake it."""
    idle_seconds: float = IDLE_SECONDS
    listens: bool = False
    """A round waits for somebody else to speak: there is nothing to end well."""


@asynccontextmanager
async def kept_going(loops: Sequence[Loop], changes: Changes) -> AsyncGenerator[None]:
    stop = asyncio.Event()
    tasks = {asyncio.create_task(_keep_going(each, changes, stop), name=each.name): each for each in loops}
    try:
        yield
    finally:
        stop.set()
        working = [task for task, each in tasks.items() if not each.listens]
        if working:
            await asyncio.wait(working, timeout=STOP_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _keep_going(each: Loop, changes: Changes, stop: asyncio.Event) -> None:
    with changes.subscribe(*each.topics) as wake:
        await loop.run(each.tick, name=each.name, wake=wake, stop=stop, idle_seconds=each.idle_seconds)
