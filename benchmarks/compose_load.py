"""One pass of what users of an embedded library do, with whichever library is named: only the import root differs.

    python benchmarks/compose_load.py wingbeat|lythonic directory

Its last line is JSON: rates a second for fires, microseconds for a node, seconds for a chain.
"""

import asyncio
import json
import logging
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

SECONDS = 0.6
"""Of each measurement, at least."""
AT_ONCE = 100
CHAIN = 20
"""Nodes."""
FIBO_NODES = 40


async def on_loop(n: int = 1) -> int:
    return n + 1


def in_thread(n: int = 1) -> int:
    return n + 1


def inline(n: int = 1) -> int:
    return n + 1


def fibo(n: int = 10) -> int:
    """Recursive, as an example of work; the next node of the chain begins with 10 again."""

    def number(k: int) -> int:
        return k if k < 2 else number(k - 1) + number(k - 2)

    return number(min(n, 10))


class Library:
    def __init__(self, root: str, directory: Path) -> None:
        self.namespace = import_module(f"{root}.compose.namespace")
        self.trigger = import_module(f"{root}.compose.trigger")
        self.dag_runner = import_module(f"{root}.compose.dag_runner")
        self.dag_provenance = import_module(f"{root}.compose.dag_provenance")
        self.directory = directory

    def manager(self) -> Any:
        """Of one push trigger, `t`, whose runs are recorded."""
        namespace = self.namespace.Namespace()
        trigger = self.namespace.TriggerConfig(name="t", type="push")
        config = self.namespace.NsNodeConfig(nsref="bench:one", triggers=[trigger])
        namespace.register(on_loop, nsref="bench:one", config=config)
        store = self.trigger.TriggerStore(self.directory / "triggers.db")
        manager = self.trigger.TriggerManager(namespace, store, self.provenance("fires.db"))
        manager.activate("t")
        return manager

    def provenance(self, name: str) -> Any:
        return self.dag_provenance.DagProvenance(self.directory / name)

    def chain(self, function: Callable[..., Any], length: int, provenance: Any) -> Any:
        dag = self.namespace.Dag()
        nodes = [dag.node(function, label=f"n{number:03}") for number in range(length)]
        for before, after in pairwise(nodes):
            _ = before >> after
        return self.dag_runner.DagRunner(dag, provenance=provenance)


async def times(call: Callable[[], Awaitable[Any]]) -> list[float]:
    """Seconds of each call after the first: as many calls as `SECONDS` has room for."""
    await call()
    took: list[float] = []
    end = time.perf_counter() + SECONDS
    while not took or time.perf_counter() < end:
        began = time.perf_counter()
        await call()
        took.append(time.perf_counter() - began)
    return took


async def fires_at_once(manager: Any) -> list[float]:
    async def at_once() -> None:
        await asyncio.gather(*(manager.fire("t") for _ in range(AT_ONCE)))

    return await times(at_once)


async def chain_seconds(runner: Any) -> float:
    async def run() -> None:
        result = await runner.run()
        if result.status != "completed":
            raise RuntimeError(result.error)

    return statistics.median(await times(run))


async def main() -> None:
    root, library = sys.argv[1], Library(sys.argv[1], Path(sys.argv[2]))
    logging.disable(logging.CRITICAL)
    manager = library.manager()
    found = {"fire": 1 / statistics.fmean(await times(lambda: manager.fire("t")))}
    if root == "wingbeat":  # lythonic ends most of them with "database is locked"
        found["fires, 100 at once"] = AT_ONCE / statistics.fmean(await fires_at_once(manager))
    inlined = library.namespace.inline(inline)
    for name, function in (("inline", inlined), ("async", on_loop), ("sync", in_thread)):
        found[f"{name} node"] = await chain_seconds(library.chain(function, CHAIN, None)) / CHAIN * 1e6
    recorded = library.chain(on_loop, CHAIN, library.provenance("nodes.db"))
    found["recorded node"] = await chain_seconds(recorded) / CHAIN * 1e6
    found["fibo"] = await chain_seconds(library.chain(fibo, FIBO_NODES, library.provenance("fibo.db")))
    print(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main())
