"""Workflows in which something goes wrong. They write what they do into a diary, a line each time they do it."""

import asyncio
import os
import signal
from datetime import timedelta
from pathlib import Path

import flyte
import flyte.errors

env = flyte.TaskEnvironment(name="troubles")
ONE_RETRY = flyte.RetryStrategy(count=1)
TWO_SLOW_RETRIES = flyte.RetryStrategy(
    count=2, backoff=flyte.Backoff(base=timedelta(seconds=0.5), factor=2.0, cap=timedelta(seconds=10))
)


def times_written(diary: str, entry: str) -> int:
    """How often it stands there, this time included."""
    with Path(diary).open("a") as opened:
        print(entry, file=opened)
    return Path(diary).read_text().split("\n").count(entry)


def describe(error: flyte.errors.BaseRuntimeError) -> list[str]:
    return [type(error).__name__, error.code, error.kind, str(error)]


@env.task
async def break_down(how: str) -> str:
    match how:
        case "mistake":
            raise KeyError("no such plan")
        case "fault":
            raise flyte.errors.RuntimeSystemError("DiskFull", "nothing can be written")
        case "out of memory":
            raise flyte.errors.OOMError("OOMKilled", "too much was asked for")
        case _:
            raise flyte.errors.NonRecoverableError("no use in trying again", code="Hopeless")


@env.task
async def catch(how: str) -> list[str]:
    try:
        await break_down(how)
    except flyte.errors.BaseRuntimeError as error:
        return describe(error)
    return []


@env.task(retries=TWO_SLOW_RETRIES)
async def succeed_at_last(diary: str) -> int:
    attempt = times_written(diary, "tried")
    if attempt < 3:
        raise RuntimeError(f"attempt {attempt} was not good enough")
    return attempt


@env.task(retries=ONE_RETRY)
async def give_up(diary: str) -> None:
    raise flyte.errors.NonRecoverableError(f"tried {times_written(diary, 'hopeless')} times")


@env.task(retries=ONE_RETRY)
async def never_succeed(diary: str) -> None:
    raise RuntimeError(f"attempt {times_written(diary, 'in vain')} failed")


@env.task
async def die_once(diary: str) -> int:
    deaths = times_written(diary, "alive")
    if deaths == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return deaths


@env.task
async def note(diary: str, entry: str) -> int:
    return times_written(diary, entry)


@flyte.trace
async def noted(diary: str, entry: str) -> int:
    return times_written(diary, entry)


@flyte.trace
async def noted_in_vain(diary: str, entry: str) -> int:
    raise flyte.errors.NonRecoverableError(f"noted {times_written(diary, entry)} times")


@env.task(retries=ONE_RETRY)
async def resume(diary: str) -> list[int]:
    """What is done in the first attempt is not done again in the second."""
    done = [await noted(diary, "trace"), *await asyncio.gather(note(diary, "child"), note(diary, "other child"))]
    try:
        await noted_in_vain(diary, "hopeless trace")
    except flyte.errors.RuntimeUserError as error:
        print(error)
    if times_written(diary, "parent") == 1:
        raise RuntimeError("once more")
    return done


@env.task(retries=ONE_RETRY)
async def continue_from_checkpoint() -> int:
    context = flyte.ctx()
    assert context
    assert context.checkpoint
    saved = await context.checkpoint.load()
    if saved is None:
        await context.checkpoint.save(b"41")
        raise RuntimeError("as far as it goes")
    return int(saved.read_bytes()) + context.attempt_number
