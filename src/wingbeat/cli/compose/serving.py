"""`start` and `stop`: a process that fires the triggers of a program, and its end."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from wingbeat.cli.compose import lock
from wingbeat.cli.compose.program import Program
from wingbeat.cli.compose.refusals import refusals
from wingbeat.cli.compose.user_code import called
from wingbeat.cli.plain import say
from wingbeat.compose.trigger import TriggerActivationResult, TriggerManager
from wingbeat.errors import FailedPrecondition, PermissionDenied, Unavailable

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_STEP_SECONDS = 0.05


def start(program: Program, *, drain: float) -> None:
    """Returns after SIGTERM or Ctrl-C, when the runs have ended, or after `drain` seconds; a second one ends it now."""
    with lock.held(program.data):
        _log_to_terminal()
        asyncio.run(_fire_until_told(program, drain=drain))


def stop(data: Path, *, wait: float) -> int:
    """The id of the process, which has ended. Raises Unavailable when it has not after `wait` seconds."""
    pid = lock.holder(data)
    if pid is None:
        raise FailedPrecondition(f"no `wingbeat compose start` runs on {data}: there is nothing to stop")
    try:
        os.kill(pid, signal.SIGTERM)
    except PermissionError as error:
        raise PermissionDenied(f"process {pid} is somebody else's") from error
    except ProcessLookupError:
        return pid
    end = time.monotonic() + wait
    while lock.holder(data) == pid:
        if time.monotonic() > end:
            raise Unavailable(f"process {pid} has not ended after {wait:g} s: its runs go on")
        time.sleep(_STEP_SECONDS)
    return pid


async def _fire_until_told(program: Program, *, drain: float) -> None:
    told = asyncio.Event()
    _on_signals(told.set)
    manager = program.manager
    with called("the triggers cannot be activated"), refusals():
        activated = manager.activate_configured()
    manager.start()
    _say(program.data, activated)
    await told.wait()
    await _close(manager, drain)


async def _close(manager: TriggerManager, drain: float) -> None:
    closing = asyncio.ensure_future(manager.aclose(drain))
    _on_signals(closing.cancel)
    say("stopping: no more fires; waiting for runs")
    with suppress(asyncio.CancelledError):
        await closing


def _on_signals(call: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, call)


def _say(data: Path, activated: TriggerActivationResult) -> None:
    for name in activated.activated:
        say(f"active: {name}")
    for name in activated.left_disabled:
        say(f"left disabled: {name}")
    say(f"firing the triggers of {data} as process {os.getpid()}, until Ctrl-C")


def _log_to_terminal() -> None:
    """Warnings, as without a log file."""
    shown = logging.StreamHandler()
    shown.setLevel(logging.WARNING)
    logging.getLogger().addHandler(shown)
