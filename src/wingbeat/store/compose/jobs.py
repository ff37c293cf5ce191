"""Bodies that wait for the writer, and who waits for them: a thread, or a task of an event loop.

Its one rule: a loop is woken once for all of its tasks that are answered together.
"""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from wingbeat.clock import Clock
from wingbeat.store.compose.transaction import Transaction


@dataclass(slots=True, eq=False)
class Job:
    body: Callable[[Transaction], Any]
    clock: Clock
    future: "Future[Any] | asyncio.Future[Any]"
    durable: bool
    """Whether it is answered when the disk has it, or as soon as it is committed."""
    result: Any = None
    error: BaseException | None = None


def nothing(tx: Transaction) -> None:
    """The body of a flush: a durable transaction is for those before it, too."""


def answer(jobs: Iterable[Job]) -> None:
    """Tell results and errors. Nobody is told who has gone, or whose loop is closed."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Job]] = {}
    for job in jobs:
        if isinstance(job.future, Future):
            settle(job)
        else:
            by_loop.setdefault(job.future.get_loop(), []).append(job)
    for loop, answered in by_loop.items():
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle_all, answered)


def _settle_all(jobs: list[Job]) -> None:
    for job in jobs:
        settle(job)


def settle(job: Job) -> None:
    if job.future.cancelled():
        return
    if job.error is None:
        job.future.set_result(job.result)
    else:
        job.future.set_exception(job.error)
