"""Tasks that take too long, in each of the ways that a task can bound."""

import asyncio
import os
import subprocess
from datetime import timedelta
from pathlib import Path

import flyte
import flyte.errors

env = flyte.TaskEnvironment(name="late")
FOR_EVER = 10_000


@env.task(timeout=2)
async def oversleep(diary: str) -> None:
    """With a program of its own, which must not be left behind."""
    program = subprocess.Popen(["sleep", str(FOR_EVER)])
    with Path(diary).open("a") as lines:
        print(os.getpid(), program.pid, file=lines)
    await asyncio.sleep(FOR_EVER)


@env.task
async def wake(diary: str) -> str:
    """A parent that catches what its child ends with."""
    try:
        await oversleep(diary)
    except flyte.errors.MaxRuntimeExceededError as error:
        return f"{type(error).__name__}: {error}"
    return "nothing happened"


@env.task(timeout=3, retries=1)
async def oversleep_once(diary: str) -> int:
    with Path(diary).open("a") as lines:
        print(os.getpid(), file=lines)
    attempt = int(os.environ["FLYTE_ATTEMPT_NUMBER"])
    await asyncio.sleep(FOR_EVER if attempt == 0 else 0)
    return attempt


@env.task(retries=FOR_EVER, timeout=flyte.Timeout(deadline=timedelta(seconds=6)))
async def fail_for_ever() -> None:
    raise ValueError("again")


@env.task
async def stay(diary: str) -> None:
    with Path(diary).open("a") as lines:
        print(os.getpid(), file=lines)
    await asyncio.sleep(FOR_EVER)


@env.task(timeout=flyte.Timeout(deadline=timedelta(seconds=12)))
async def hold(diary: str) -> None:
    """Its child goes with it."""
    await stay(diary)
