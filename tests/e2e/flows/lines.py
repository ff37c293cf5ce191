"""Tasks that wait in queues, and a run that must not take every slot."""

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import flyte
import flyte.errors

env = flyte.TaskEnvironment(name="lines")


@env.task(queue="night", timeout=flyte.Timeout(max_queued_time=timedelta(seconds=2)))
async def wait_for_the_night() -> None:
    return None


@env.task
async def give_up() -> str:
    try:
        await wait_for_the_night()
    except flyte.errors.MaxQueuedTimeExceededError as error:
        return f"{type(error).__name__}: {error}"
    return "done"


@env.task
async def work(diary: str, number: int) -> int:
    began = time.monotonic()
    await asyncio.sleep(0.5)
    with Path(diary).open("a") as opened:
        print(began, time.monotonic(), file=opened)
    return number


@env.task
async def crowd(diary: str, workers: int) -> int:
    return sum(await asyncio.gather(*(work(diary, number) for number in range(workers))))
