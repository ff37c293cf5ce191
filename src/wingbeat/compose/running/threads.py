"""Threads in which nodes run that are not async.

Their one rule: they are daemons. A call that nobody waits for any more (cancelled, or too slow) cannot be ended, and
does not keep the process from ending.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

MOST_THREADS = 64
_Work = Callable[[], None]


class Threads:
    def __init__(self, most: int = MOST_THREADS) -> None:
        self._most = most
        self._waiting: SimpleQueue[_Work] = SimpleQueue()
        self._lock = Lock()
        self._started = 0
        self._busy = 0

    async def run(self, call: Callable[[], Any]) -> Any:
        """Call it with a copy of the context variables; raises what it raises."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Any] = loop.create_future()
        self._submit(partial(_call, loop, ended, partial(copy_context().run, call)))
        return await ended

    def _submit(self, work: _Work) -> None:
        with self._lock:
            self._busy += 1
            self._start_if_needed()
        self._waiting.put(work)

    def _start_if_needed(self) -> None:
        if self._busy > self._started and self._started < self._most:
            self._started += 1
            Thread(target=self._work, name="compose-node", daemon=True).start()

    def _work(self) -> None:
        try:
            while True:
                work = self._waiting.get()
                work()
                del work
                with self._lock:
                    self._busy -= 1
        finally:  # the work ended its thread, as KeyboardInterrupt does
            with self._lock:
                self._busy -= 1
                self._started -= 1
                self._start_if_needed()


def threads() -> Threads:
    """Those of this process."""
    return _of_process[0]


def _call(loop: asyncio.AbstractEventLoop, ended: "asyncio.Future[Any]", call: Callable[[], Any]) -> None:
    if ended.cancelled():
        return
    try:
        result = call()
    except StopIteration as error:  # which no future can carry
        _tell(loop, ended, error=RuntimeError(f"the node raised StopIteration: {error}"))
    except BaseException as error:
        _tell(loop, ended, error=error)
        if not isinstance(error, (Exception, SystemExit)):
            raise
    else:
        _tell(loop, ended, result)


def _tell(
    loop: asyncio.AbstractEventLoop,
    ended: "asyncio.Future[Any]",
    result: Any = None,
    *,
    error: BaseException | None = None,
) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(_settle, ended, result, error)


def _settle(ended: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if ended.cancelled():
        return
    if error is None:
        ended.set_result(result)
    else:
        ended.set_exception(error)


def _forget_those_of_the_parent() -> None:
    _of_process[0] = Threads()


_of_process = [Threads()]
os.register_at_fork(after_in_child=_forget_those_of_the_parent)
