"""Workflows by their shape: wide, deep, grouped, passed on to children."""

import asyncio
import os

import flyte

env = flyte.TaskEnvironment(name="shapes")


@env.task
async def square(number: int) -> int:
    return number * number


@env.task
async def fan_out(width: int) -> int:
    return sum(await asyncio.gather(*(square(number) for number in range(width))))


@env.task
async def nest(depth: int) -> int:
    """The number of actions below it. Each waits for one that waits in turn, and for one that does not."""
    if depth == 0:
        return 0
    below, _ = await asyncio.gather(nest(depth - 1), square(depth))
    return below + 2


@env.task
def double(number: int) -> int:
    return 2 * number


@env.task
def double_all(numbers: list[int]) -> list[int]:
    return [doubled for doubled in flyte.map(double, numbers, group_name="doubles") if isinstance(doubled, int)]


@env.task
async def group_by_parity(width: int) -> int:
    with flyte.group("even"):
        even = [square(number) for number in range(0, width, 2)]
        total = sum(await asyncio.gather(*even))
    with flyte.group("odd"):
        odd = [square(number) for number in range(1, width, 2)]
        return total + sum(await asyncio.gather(*odd))


@env.task
async def surroundings() -> list[str]:
    return [os.environ.get("FLAVOUR", ""), flyte.get_custom_context().get("tenant", "")]


@env.task
async def surroundings_of_a_grandchild() -> list[str]:
    return await surroundings_of_a_child()


@env.task
async def surroundings_of_a_child() -> list[str]:
    return await surroundings()
