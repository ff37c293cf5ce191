"""A workflow that tells what it really did: each attempt writes into a diary that it began and that it ended.

It tells the same on its log, each time before it writes into the diary: what the diary has, the log must have.
"""

import asyncio
import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager

import flyte

env = flyte.TaskEnvironment(name="storm")
FOR_EVER = 10_000
GUSTS_OF = 3
"""How many drops a gust has."""


@contextmanager
def written_down(diary: str) -> Generator[None]:
    who = f"{os.environ['RUN_NAME']} {os.environ['ACTION_NAME']} {int(os.environ['FLYTE_ATTEMPT_NUMBER']) + 1}"
    write(diary, f"begun {who}")
    yield
    write(diary, f"ended {who}")


def write(diary: str, line: str) -> None:
    print(line, flush=True)
    opened = os.open(diary, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(opened, f"{line}\n".encode())
    os.close(opened)


@flyte.trace
async def forecast(width: int) -> int:
    return sum(range(width))


@env.task
async def drop(diary: str, number: int) -> int:
    with written_down(diary):
        if number % 5 == 0:
            subprocess.Popen(["sleep", str(FOR_EVER)])
        await asyncio.sleep(0.1 + number % 7 / 10)
    return number


@env.task
async def gust(diary: str, number: int) -> int:
    with written_down(diary):
        drops = await asyncio.gather(*(drop(diary, 1000 * number + each) for each in range(GUSTS_OF)))
    return drops[0] // 1000


@env.task
async def storm(diary: str, width: int) -> list[int]:
    """What was foretold, and what came: the numbers from 0 to `width`, each once."""
    with written_down(diary):
        expected = await forecast(width)
        came = await asyncio.gather(*((gust if number % 20 == 10 else drop)(diary, number) for number in range(width)))
    return [expected, *came]
