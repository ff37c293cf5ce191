"""A program that fires a trigger each second and notes each run in a file, until it is killed."""

import asyncio
import os
import sys
from datetime import timedelta
from pathlib import Path

from wingbeat.compose.dag_provenance import DagProvenance
from wingbeat.compose.namespace import DagContext, Namespace
from wingbeat.compose.trigger import TriggerManager, TriggerStore


async def main(folder: Path) -> None:
    async def note(ctx: DagContext) -> None:
        await asyncio.sleep(0.2)
        with (folder / "ledger.txt").open("a") as ledger:
            ledger.write(f"{ctx.scheduled_for} {ctx.run_id} {os.getpid()}\n")

    namespace = Namespace()
    namespace.register(note, nsref="a:note")
    namespace.register_trigger("t", "a:note", "poll", "* * * * * *", overlap="allow", misfire="all")
    manager = TriggerManager(
        namespace,
        TriggerStore(folder / "triggers.db"),
        DagProvenance(folder / "runs.db"),
        lease=timedelta(seconds=1),
    )
    manager.activate_configured()
    manager.start()
    print("started", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
