"""Something changed: wakes whoever watches a topic. A wake-up carries no data; watchers read the rows again.

Topics are `/`-separated, such as `queue` or `run/<project>/<domain>/<run>`. A subscription wakes for its topics only;
`EVERYTHING` wakes all of them (after a feed was interrupted, say). Used from the event loop's thread only.
"""

import asyncio
from collections.abc import Generator, Iterable
from contextlib import contextmanager

from wingbeat.core.ids import RunId

EVERYTHING = "*"
QUEUE = "queue"
SCHEDULE = "schedule"
RUNS = "runs"
TIMERS = "timers"
WEBHOOKS = "webhooks"
PRUNED = "pruned"
"""Runs whose actions and files are to be removed."""


def run_topic(run: RunId) -> str:
    """Wakes for every change of a run or any of its actions."""
    return f"run/{run.project}/{run.domain}/{run.name}"


def children_topic(run: RunId, parent: str) -> str:
    """Wakes for every change of a child of `parent`."""
    return f"children/{run.project}/{run.domain}/{run.name}/{parent}"


class Subscription:
    """Level-triggered: a change between two waits is never lost, many changes are one wake-up."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    async def wait(self, seconds: float | None = None) -> bool:
        """Whether something changed within `seconds`; consumes the wake-up."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True

    def wake(self) -> None:
        self._event.set()


class Changes:
    def __init__(self) -> None:
        self._subscriptions: dict[str, set[Subscription]] = {}

    @contextmanager
    def subscribe(self, *topics: str) -> Generator[Subscription]:
        """Subscribe first, then read, then wait: so no change falls between."""
        subscription = Subscription()
        for topic in topics:
            self._subscriptions.setdefault(topic, set()).add(subscription)
        try:
            yield subscription
        finally:
            for topic in topics:
                self._subscriptions[topic].discard(subscription)
                if not self._subscriptions[topic]:
                    del self._subscriptions[topic]

    def publish(self, topics: Iterable[str]) -> None:
        for topic in topics:
            if topic == EVERYTHING:
                for subscriptions in self._subscriptions.values():
                    _wake(subscriptions)
            elif topic in self._subscriptions:
                _wake(self._subscriptions[topic])


def _wake(subscriptions: set[Subscription]) -> None:
    for subscription in subscriptions:
        subscription.wake()
