"""Changes whose announcement died with the process that made them: one look every few seconds finds them for all who
wait, however many they are and however many runs they watch.
"""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import structlog

from wingbeat.core.ids import RunId
from wingbeat.errors import Unavailable
from wingbeat.rpc.run_service import feeds
from wingbeat.store import action_changes
from wingbeat.store.action_changes import Mark
from wingbeat.store.changes import Subscription, run_topic
from wingbeat.store.database import Database

log = structlog.get_logger(__name__)


class Unannounced:
    """The feed of it: wakes the subscribers of the runs that somebody watches and that are other than before."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watched: dict[RunId, set[Subscription]] = {}
        self._marks: dict[RunId, Mark] = {}

    @contextmanager
    def subscribe(self, run: RunId) -> Generator[Subscription]:
        with self._database.changes.subscribe(run_topic(run)) as changes:
            self._watched.setdefault(run, set()).add(changes)
            try:
                yield changes
            finally:
                self._watched[run].discard(changes)
                if not self._watched[run]:
                    del self._watched[run]

    def ring(self, error: Exception | None = None) -> None:
        """Nobody waits for this feed itself."""

    async def keep(self) -> None:
        while True:
            await asyncio.sleep(feeds.RECONCILE_SECONDS)
            try:
                await self._look()
            except Unavailable as error:
                log.warning("could not look for changes that nobody announced", error=str(error))

    async def _look(self) -> None:
        watched = list(self._watched)
        marks = await self._database.read(
            lambda tx: action_changes.marks(tx, watched, since=tx.settled - feeds.LONG_OVERLAP)
        )
        changed = [run for run, mark in marks.items() if self._marks.get(run) != mark]
        self._marks = dict(marks)
        for run in changed:
            for subscription in self._watched.get(run, ()):
                subscription.wake()


class RunWakes:
    """What wakes those who watch runs: announcements, and the look for what was not announced."""

    def __init__(self, database: Database) -> None:
        self._feeds = feeds.Feeds[None, Unannounced](lambda _: Unannounced(database))

    @asynccontextmanager
    async def subscribe(self, run: RunId) -> AsyncGenerator[Subscription]:
        """To every change of the run or any of its actions; some wake-ups mean nothing."""
        async with self._feeds.of(None) as feed:
            with feed.subscribe(run) as changes:
                yield changes
