"""Asking a `poll_fn`: in a thread when it is synchronous, awaited when it is not, and never for ever."""

import asyncio
import inspect
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from threading import Thread
from typing import Any

from wingbeat.compose.firing.answers import PollContext
from wingbeat.compose.trigger_defs import PollFunction

LONGEST_POLL = 60.0
"""Seconds, unless the trigger has a time-out."""


async def ask(poll_fn: PollFunction, context: PollContext, *, timeout: float | None) -> Any:
    """What it answers. Raises TimeoutError, and what the function raises.

    A thread cannot be ended: after a time-out its answer is dropped.
    """
    arguments = {"ctx": context} if _wants_context(poll_fn) else {}
    limit = LONGEST_POLL if timeout is None else timeout
    bound = asyncio.timeout(limit)
    try:
        async with bound:
            if inspect.iscoroutinefunction(poll_fn):
                return await poll_fn(**arguments)
            answer = await in_thread(lambda: poll_fn(**arguments))
            return await answer if inspect.isawaitable(answer) else answer
    except TimeoutError as error:
        if bound.expired():
            raise TimeoutError(f"poll_fn had not answered after {limit:g} s") from error
        raise


def _wants_context(poll_fn: PollFunction) -> bool:
    try:
        return "ctx" in inspect.signature(poll_fn).parameters
    except (TypeError, ValueError):
        return False


async def in_thread(call: Callable[[], Any]) -> Any:
    """A thread of its own: one that hangs takes no place from others, and does not hold the process."""
    answer: Future[Any] = Future()
    context = copy_context()
    Thread(target=_settle, args=(answer, lambda: context.run(call)), name="compose-poll", daemon=True).start()
    return await asyncio.wrap_future(answer)


def _settle(answer: "Future[Any]", call: Callable[[], Any]) -> None:
    if not answer.set_running_or_notify_cancel():
        return
    try:
        answer.set_result(call())
    except StopIteration as error:  # which no future can carry
        answer.set_exception(RuntimeError(f"poll_fn raised StopIteration: {error}"))
    except BaseException as error:
        answer.set_exception(error)
        if not isinstance(error, (Exception, SystemExit)):
            raise
