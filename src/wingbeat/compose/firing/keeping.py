"""One start of the scheduler: a task of the event loop that runs, or without one a thread with a loop of its own."""

import asyncio
from collections.abc import Callable, Coroutine
from threading import Thread
from typing import Any

from wingbeat.compose.firing.scheduler import Scheduler


class Keeping:
    def __init__(self, scheduler: Scheduler, work: Callable[[Scheduler], Coroutine[Any, Any, None]]) -> None:
        """`work` keeps the scheduler going until it is stopped."""
        self._stopping = False
        self._scheduler = scheduler
        self._task: asyncio.Task[None] | None = None
        self._thread: Thread | None = None
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = asyncio.new_event_loop()
            self._thread = Thread(target=self._run, args=(work,), name="compose-triggers", daemon=True)
            self._thread.start()
        else:
            self._task = self._loop.create_task(work(scheduler))

    def nudge(self) -> None:
        self._tell(self._scheduler.nudge)

    def stop(self) -> None:
        """Claim nothing more. Returns at once."""
        self._stopping = True
        self._tell(self._scheduler.stop)

    @property
    def going(self) -> bool:
        """Neither stopped, nor ended with its event loop."""
        return not (self._stopping or self.done() or (self._task is not None and self._task.done()))

    def done(self) -> bool:
        """Whether it was stopped, or ended with its event loop, and no run goes on."""
        if self._thread is not None:
            return not self._thread.is_alive()
        if self._loop.is_closed():
            return True
        return self._task is not None and self._task.done() and self._scheduler.idle

    def join(self) -> None:
        """Wait for the thread, if it is one."""
        if self._thread is not None:
            self._thread.join()

    async def ended(self, drain: float | None) -> None:
        """Wait so many seconds for the runs that have begun, once it was stopped."""
        if self.done():
            return
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, drain)
        elif self._task is not None:
            await asyncio.wait([self._task])
            await self._scheduler.drain(drain)

    def _tell(self, what: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what)

    def _run(self, work: Callable[[Scheduler], Coroutine[Any, Any, None]]) -> None:
        async def keep_going() -> None:
            await work(self._scheduler)
            await self._scheduler.drain(None)

        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(keep_going())
