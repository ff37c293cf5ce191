"""What the local executor costs: latency and throughput of `true` and of `a0`, warm and cold, beside bare subprocesses.

Run it: python benchmarks/bench_executor.py [seconds per measurement]
"""

import asyncio
import contextlib
import itertools
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

from wingbeat.core.launch import ExecutionPhase, Launch, Status
from wingbeat.executors.local.executor import LocalExecutor

SECONDS = 2.5
AT_ONCE = 8
TRUE = ("true",)
RUNTIME = ("a0", "--help")

Once = Callable[[], Awaitable[None]]
_numbers = itertools.count()


async def main(seconds: float) -> None:
    print(f"{'':32}{'1 at a time':>30}{f'{AT_ONCE} at a time':>20}")
    runtime = str(Path(sys.executable).with_name("a0"))
    await measure("true, bare subprocess", lambda: bare(*TRUE), seconds)
    async with executor(warm=False) as run:
        await measure("true, local executor", lambda: run(TRUE), seconds)
    await measure("a0 --help, bare subprocess", lambda: bare(runtime, "--help"), seconds)
    async with executor(warm=False) as run:
        await measure("a0 --help, cold", lambda: run(RUNTIME), seconds)
    async with executor(warm=True) as run:
        await measure("a0 --help, warm", lambda: run(RUNTIME), seconds)


async def measure(name: str, once: Once, seconds: float) -> None:
    await once()
    alone = await latencies(once, seconds)
    together = await asyncio.gather(*[latencies(once, seconds) for _ in range(AT_ONCE)])
    rate = sum(map(len, together)) / seconds
    p95 = sorted(alone)[int(0.95 * len(alone))]
    print(f"{name:32}{1000 * statistics.median(alone):10.1f} ms, p95 {1000 * p95:7.1f} ms{rate:16.1f}/s", flush=True)


async def latencies(once: Once, seconds: float) -> list[float]:
    found: list[float] = []
    end = time.perf_counter() + seconds
    while (begin := time.perf_counter()) < end:
        await once()
        found.append(time.perf_counter() - begin)
    return found


async def bare(*argv: str) -> None:
    nowhere = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*argv, stdin=nowhere, stdout=nowhere)
    assert await process.wait() == 0


@contextlib.asynccontextmanager
async def executor(*, warm: bool) -> AsyncGenerator[Callable[[tuple[str, ...]], Awaitable[None]]]:
    """Gives a function that runs one attempt to its end."""
    directory = Path(tempfile.mkdtemp(prefix="bench-"))
    local = LocalExecutor(directory, warm=warm)
    await local.start()
    ended: dict[str, asyncio.Future[Status]] = {}

    async def listen() -> None:
        async for status in local.watch():
            if isinstance(status, Status) and status.phase is ExecutionPhase.EXITED and status.key in ended:
                ended[status.key].set_result(status)

    async def run(argv: tuple[str, ...]) -> None:
        key = f"bench/{next(_numbers)}"
        end = ended[key] = asyncio.get_running_loop().create_future()
        await local.launch(Launch(key=key, argv=argv, env={}, image="", output_prefix=""))
        status = await end
        del ended[key]
        assert status.exit_code == 0, status
        await local.forget(key)

    listening = asyncio.create_task(listen())
    yield run
    listening.cancel()
    await local.end_agent()
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS))
