"""Keeps a few runs of a task going until a file appears, whatever becomes of the server, then tells how each ended.

The name of a run is chosen here, so that asking again after a lost answer cannot start it twice.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import flyte
import flyte.errors
import flyte.remote
from connectrpc.errors import ConnectError

T = TypeVar("T")
Ended = dict[str, Any]
PAUSE_SECONDS = 0.5


async def insisted(ask: Callable[[], Awaitable[T]]) -> T:
    """What the server answers, as soon as it does."""
    while True:
        try:
            return await ask()
        except flyte.errors.RuntimeUserError:
            raise
        except (ConnectError, flyte.errors.BaseRuntimeError, OSError) as error:
            print(f"again, after {error!r}", file=sys.stderr)
            await asyncio.sleep(PAUSE_SECONDS)


async def start(name: str, task: str, inputs: dict[str, Any]) -> None:
    async def ask() -> None:
        found = flyte.remote.Task.get(task, auto_version="latest")
        await flyte.with_runcontext(name=name).run.aio(found, **inputs)

    try:
        await insisted(ask)
    except flyte.errors.RuntimeUserError as error:
        if error.code != "RunAlreadyExistsError":
            raise


async def end_of(name: str) -> Ended:
    while True:
        run = await insisted(lambda: flyte.remote.Run.get.aio(name))
        if run.done():
            break
        await asyncio.sleep(PAUSE_SECONDS)
    if run.phase != "succeeded":
        return {"phase": str(run.phase), "error": str((await run.details.aio()).action_details.error_info)}
    outputs = await insisted(run.outputs.aio)
    return {"phase": "succeeded", "output": outputs[0]}


async def one_after_the_other(line: int, task: str, inputs: dict[str, Any], until: Path) -> dict[str, Ended]:
    ended: dict[str, Ended] = {}
    while not until.exists():
        name = f"storm-{line}-{len(ended)}"
        await start(name, task, inputs)
        ended[name] = await end_of(name)
    return ended


async def main(task: str, inputs: dict[str, Any], until: Path, lines: int) -> None:
    flyte.init_from_config()
    found = await asyncio.gather(*(one_after_the_other(line, task, inputs, until) for line in range(lines)))
    print(json.dumps({name: ended for each in found for name, ended in each.items()}))


asyncio.run(main(sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])))
