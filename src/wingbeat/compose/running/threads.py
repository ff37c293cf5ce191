"""Threads in which nodes run that are not async.

Their one rule: they are daemons. A call that nobody waits for any more (cancelled, or too slow) cannot be ended, and
does not keep the process from ending.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

MOST_THREADS = 64
_Work = tuple["Future[Any]", Callable[[], Any]]


class Threads:
    def __init__(self, most: int = MOST_THREADS) -> None:
        self._most = most
        self._waiting: SimpleQueue[_Work] = SimpleQueue()
        self._lock = Lock()
        self._started = 0
        self._busy = 0

    async def run(self, call: Callable[[], Any]) -> Any:
        """Call it with a copy of the context variables; raises what it raises."""
        context = copy_context()
        return await asyncio.wrap_future(self._submit(lambda: context.run(call)))

    def _submit(self, call: Callable[[], Any]) -> "Future[Any]":
        future: Future[Any] = Future()
        with self._lock:
            self._busy += 1
            if self._busy > self._started and self._started < self._most:
                self._started += 1
                Thread(target=self._work, name=f"compose-node-{self._started}", daemon=True).start()
        self._waiting.put((future, call))
        return future

    def _work(self) -> None:
        while True:
            future, call = self._waiting.get()
            if future.set_running_or_notify_cancel():
                _settle(future, call)
            del future, call
            with self._lock:
                self._busy -= 1


def threads() -> Threads:
    """Those of this process."""
    return _of_process[0]


def _settle(future: "Future[Any]", call: Callable[[], Any]) -> None:
    try:
        future.set_result(call())
    except StopIteration as error:  # which no future can carry
        future.set_exception(RuntimeError(f"the node raised StopIteration: {error}"))
    except BaseException as error:
        future.set_exception(error)
        if not isinstance(error, Exception):
            raise


def _forget_those_of_the_parent() -> None:
    _of_process[0] = Threads()


_of_process = [Threads()]
os.register_at_fork(after_in_child=_forget_those_of_the_parent)
