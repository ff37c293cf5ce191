"""All runs, followed: what changed is read once, whoever follows, and each is told of the runs that it asked for."""

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import datetime

from wingbeat.core.ids import RunId
from wingbeat.rpc.run_service.feeds import LONG_OVERLAP, Bell, Looks
from wingbeat.store import run_changes
from wingbeat.store.changes import RUNS
from wingbeat.store.database import Database, Transaction, to_micros
from wingbeat.store.run_changes import RunChange
from wingbeat.store.runs import Listed

COALESCE_SECONDS = 0.05
"""Every change of every action wakes the feed."""
MAX_WAITING = 1000
"""Runs that a follower has not taken yet. One that is further behind begins anew."""

Wants = Callable[[RunChange], bool]


class RunsFollower:
    """`bell` rings when there is something to take, for the first time when the follower may read what there is."""

    def __init__(self, wants: Wants) -> None:
        self.bell = Bell()
        self.wants = wants
        self._waiting: dict[RunId, Listed] = {}
        self._behind = True

    def tell(self, listed: Listed) -> None:
        if self._behind:
            return
        self._waiting[listed.root.id.run] = listed
        if len(self._waiting) > MAX_WAITING:
            self._behind = True
            self._waiting.clear()
        self.bell.ring()

    def take(self) -> Sequence[Listed] | None:
        """The runs that changed; None: read anew what there is, then take again."""
        if self._behind:
            self._behind = False
            return None
        taken, self._waiting = list(self._waiting.values()), {}
        return taken


class AllRuns:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._versions: dict[RunId, tuple[int, int]] = {}
        """What is known, with the moment of its change; as far back as a look goes."""
        self._many = MAX_WAITING
        self._complete = asyncio.Event()
        self._followers: set[RunsFollower] = set()

    @contextmanager
    def follower(self, wants: Wants) -> Generator[RunsFollower]:
        follower = RunsFollower(wants)
        self._followers.add(follower)
        if self._complete.is_set():
            follower.bell.ring()
        try:
            yield follower
        finally:
            self._followers.discard(follower)

    def ring(self, error: Exception | None = None) -> None:
        for follower in self._followers:
            follower.bell.ring(error)

    async def keep(self) -> None:
        with self._database.changes.subscribe(RUNS) as changes:
            looks = Looks(changes, COALESCE_SECONDS, shared=self._database.shared, unannounced=True)
            at = await self._database.read(_settled)
            while True:
                with looks.look() as overlap:
                    at = await self._look(at - overlap)
                    self._forget(at)
                await looks.wait()

    async def _look(self, since: datetime) -> datetime:
        """What the first look finds is there already: followers read it themselves."""
        at, last = None, None
        while True:
            now, found = await self._database.read(lambda tx, last=last: _page(tx, since, last))
            at = at or now
            new = [each for each in found if self._versions.get(each.run, (0, 0))[0] != each.version]
            self._versions.update({each.run: (each.version, each.at) for each in new})
            if self._complete.is_set():
                await self._tell(new)
            if len(found) < run_changes.PAGE:
                break
            last = found[-1]
        if not self._complete.is_set():
            self._complete.set()
            self.ring()
        return at

    async def _tell(self, changed: Sequence[RunChange]) -> None:
        tasks = {each.run: each for each in changed if any(follower.wants(each) for follower in self._followers)}
        for listed in await self._database.read(lambda tx: run_changes.find_many(tx, list(tasks))) if tasks else ():
            run, version = listed.root.id.run, listed.root.version
            # It may have changed since it was found: the next look must not tell of that again.
            self._versions[run] = (version, self._versions[run][1])
            for follower in self._followers:
                if follower.wants(tasks[listed.root.id.run]):
                    follower.tell(listed)

    def _forget(self, at: datetime) -> None:
        """What changed before the time of any look. Not each time: nothing is gained by less than half."""
        if len(self._versions) > self._many:
            before = to_micros(at - 2 * LONG_OVERLAP)
            self._versions = {run: known for run, known in self._versions.items() if known[1] >= before}
            self._many = MAX_WAITING + 2 * len(self._versions)


async def _settled(tx: Transaction) -> datetime:
    return tx.settled


async def _page(tx: Transaction, since: datetime, after: RunChange | None) -> tuple[datetime, Sequence[RunChange]]:
    return tx.settled, await run_changes.page(tx, since=since, after=after)
