"""Scheduled DAGs in a program of your own, without a server: the tutorial as one file.

Run it for so many seconds; what happened stays in two files of SQLite, and goes on with the next start:

    python examples/embedded.py 10

Or let a command be the program, which fires until Ctrl-C, and look on from another terminal:

    cd examples
    wingbeat compose --app embedded:ns start
    wingbeat compose status
"""

import asyncio
import sys
from pathlib import Path

from wingbeat.compose.dag_provenance import DagProvenance
from wingbeat.compose.namespace import Dag, Namespace
from wingbeat.compose.trigger import PollContext, Skip, TriggerManager, TriggerStore

DATA = Path("data")


async def fetch_prices() -> dict[str, float]:
    return {"AAPL": 185.0, "GOOG": 140.0}


async def summarize(prices: dict[str, float]) -> str:
    return f"Portfolio value: ${sum(prices.values()):.2f}"


def order(number: int) -> str:
    return f"order {number} is done"


def next_order(ctx: PollContext) -> dict[str, int] | Skip:
    """Asked every second: there is something to do every other time."""
    ctx.cursor = (ctx.cursor or 0) + 1
    return {"number": ctx.cursor} if ctx.cursor % 2 else Skip("no order has come in")


ns = Namespace()
ns.register(order, nsref="orders:process")
with Dag() as dag:
    _ = dag.node(fetch_prices) >> dag.node(summarize)
ns.register(dag, nsref="market:summary")
ns.register_trigger("every_second", "market:summary", "poll", schedule="* * * * * *")
ns.register_trigger("orders", "orders:process", "poll", schedule="* * * * * *", poll_fn=next_order)


async def main(seconds: float) -> None:
    store, provenance = TriggerStore(DATA / "triggers.db"), DagProvenance(DATA / "dags.db")
    async with TriggerManager(ns, store, provenance) as manager:
        manager.activate_configured()
        await asyncio.sleep(seconds)
    for trigger in ns.triggers():
        for event in store.get_events(trigger.name, limit=3):
            what = event["error"] or event["run_id"]
            print(f"{trigger.name}: {event['status']}, {event['lateness']:.3f} s late: {what}")
    for run in provenance.get_recent_runs(limit=3):
        provenance.load_io(run)
        print(f"run {run.run_id} of {run.trigger_name}: {run.io.output_json if run.io else None}")


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0))
