"""Workflows to be ended before they end by themselves. Who works writes a line in a diary, and starts a process."""

import asyncio
import os
import subprocess
from pathlib import Path

import flyte
import flyte.errors

env = flyte.TaskEnvironment(name="families")
FOR_EVER = 10_000


async def written(diary: str) -> None:
    while not Path(diary).exists():
        await asyncio.sleep(0.05)


@env.task
async def work(diary: str, number: int) -> int:
    left_behind = subprocess.Popen(["sleep", str(FOR_EVER)], start_new_session=True)
    with Path(diary).open("a") as opened:
        print(os.getpid(), left_behind.pid, file=opened)
    await asyncio.sleep(FOR_EVER)
    return number


@env.task
async def supervise(diary: str, first: int) -> int:
    return sum(await asyncio.gather(*(work(diary, number) for number in range(first, first + 2))))


@env.task
async def found(diary: str) -> int:
    """Two children, four grandchildren."""
    return sum(await asyncio.gather(supervise(diary, 0), supervise(diary, 2)))


@env.task
async def lose_patience(diary: str) -> str:
    working = asyncio.create_task(work(diary, 0))
    await written(diary)
    working.cancel()
    try:
        await working
    except asyncio.CancelledError:
        return "cancelled"
    return "done"


@env.task
async def lose_a_child(diary: str) -> str:
    try:
        await work(diary, 0)
    except flyte.errors.ActionAbortedError as error:
        return error.code
    return "done"
