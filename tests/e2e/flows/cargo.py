"""Workflows that carry files, directories, reports, and more bytes than usual."""

import asyncio
from pathlib import Path

import flyte
import flyte.report
from flyte.io import Dir, File

env = flyte.TaskEnvironment(name="cargo")
ROOMY = 40 * 1024 * 1024
"""Bytes; by default the SDK lets values have 10 MiB."""


@env.task
async def write_poem(lines: list[str]) -> File:
    poem = Path("poem.txt")
    poem.write_text("\n".join(lines))
    return await File.from_local(str(poem))


@env.task
async def shout(poem: File) -> File:
    shouted = File.new_remote()
    async with poem.open("rb") as quiet, shouted.open("wb") as loud:
        await loud.write(bytes(await quiet.read()).upper())
    return shouted


@env.task
async def grow_a_tree(leaves: int) -> Dir:
    for number in range(leaves):
        leaf = Path("tree") / f"branch-{number % 2}" / f"leaf-{number}.txt"
        leaf.parent.mkdir(parents=True, exist_ok=True)
        leaf.write_text(str(number))
    return await Dir.from_local("tree")


@env.task
async def pick(tree: Dir) -> list[str]:
    return sorted([Path(await leaf.download()).read_text() async for leaf in tree.walk()])


@env.task
async def relay() -> list[str]:
    """What is written by one task is changed by another and read by a third."""
    poem, tree = await asyncio.gather(write_poem(["shall I", "compare thee"]), grow_a_tree(3))
    loud, leaves = await asyncio.gather(shout(poem), pick(tree))
    return [Path(await loud.download()).read_text(), *leaves]


@env.task(report=True)
async def report_on(subject: str) -> None:
    await flyte.report.replace.aio(f"<b>{subject} is well</b>")
    await flyte.report.flush.aio()


@env.task(max_inline_io_bytes=ROOMY)
async def echo(text: str) -> str:
    return text


@env.task
async def haul(megabytes: int) -> int:
    """There and back."""
    return len(await echo("x" * (megabytes * 1024 * 1024)))


@env.task
async def weigh(name: str) -> int:
    """Bytes of a file that came with the code."""
    return (Path(__file__).parent / name).stat().st_size
