"""A program whose namespace the commands of the embedded library are tried on."""

import asyncio
import os
from datetime import date
from pathlib import Path

from pydantic import BaseModel

from wingbeat.compose.dag_provenance import DagProvenance
from wingbeat.compose.embedded import Embedded
from wingbeat.compose.namespace import Dag, Namespace
from wingbeat.compose.trigger import TriggerManager, TriggerStore


class Quote(BaseModel):
    symbol: str
    price: float


async def fetch(symbol: str = "AAPL", day: date | None = None) -> Quote:
    return Quote(symbol=symbol, price=185.0 if day is None else day.day)


def describe(quote: Quote) -> str:
    return f"{quote.symbol} at {quote.price}"


def double(amount: int, tags: list[str] | None = None) -> dict[str, object]:
    return {"amount": amount * 2, "tags": tags}


def fail() -> None:
    raise RuntimeError("the source is down")


def note() -> None:
    """A line for each run, in the file that the test names."""
    with Path(os.environ["MARKET_NOTES"]).open("a") as notes:
        notes.write(f"{os.getpid()}\n")


async def linger() -> None:
    note()
    await asyncio.sleep(float(os.environ.get("MARKET_LINGER", "0")))


def program() -> Namespace:
    namespace = Namespace()
    for callable_ in (fetch, describe, double, fail, note, linger):
        namespace.register(callable_, nsref=f"market:{callable_.__name__}")
    dag = Dag()
    dag.add_edge(dag.node(namespace.get("market:fetch")), dag.node(namespace.get("market:describe")))
    namespace.register(dag, nsref="market:summary")
    namespace.register_trigger("hourly", "market:summary", "poll", "0 * * * *", timezone="Europe/Paris")
    namespace.register_trigger("by_hand", "market:summary", "push", payload={"symbol": "MSFT"})
    namespace.register_trigger("broken", "market:fail", "push")
    namespace.register_trigger("every_second", "market:linger", "poll", "* * * * * *")
    return namespace


def managed() -> TriggerManager:
    """A program that says itself where its files are."""
    folder = Path(os.environ["MARKET_FOLDER"])
    return TriggerManager(program(), TriggerStore(folder / "t.db"), DagProvenance(folder / "r.db"))


def short() -> Embedded:
    """The same program, as far as its tests need it, in its short form."""
    app = Embedded(Path(os.environ["MARKET_FOLDER"]) / "t.db")
    app.on(name="by_hand")(app.task(name="market:summary")(fetch))
    return app
