"""Tasks whose results are kept. Whoever computes writes a line in a diary, which is not compared."""

import asyncio
from pathlib import Path

import flyte

env = flyte.TaskEnvironment(name="cached")


def kept(version: str = "1", *, serialize: bool = False) -> flyte.Cache:
    return flyte.Cache(
        behavior="override", version_override=version, serialize=serialize, ignored_inputs=("diary", "caller")
    )


def write(diary: str, entry: str) -> None:
    with Path(diary).open("a") as opened:
        print(entry, file=opened)


@env.task(cache=kept())
async def square(number: int, diary: str) -> int:
    write(diary, f"square {number}")
    return number * number


@env.task
async def squares(numbers: list[int], diary: str) -> int:
    return sum(await asyncio.gather(*(square(number, diary) for number in numbers)))


@env.task
async def square_of_version(version: str, diary: str) -> int:
    return await square.override(cache=kept(version))(11, diary)


@env.task(cache=kept(serialize=True))
async def slowly(number: int, caller: int, diary: str) -> int:
    write(diary, f"slowly {number} for {caller}")
    await asyncio.sleep(1)
    return number


@env.task
async def slowly_for_all(callers: int, diary: str) -> int:
    return sum(await asyncio.gather(*(slowly(3, caller, diary) for caller in range(callers))))


@env.task(cache=kept())
async def groups(numbers: list[list[int]]) -> int:
    return len(numbers)


@env.task
async def groups_of_the_same() -> list[int]:
    return [await groups([[1], [2]]), await groups([[1, 2]])]
