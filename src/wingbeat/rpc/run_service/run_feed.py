"""The actions of one run, followed: all of them are read once, then only what changed."""

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import datetime

from wingbeat.core.action import Action
from wingbeat.core.action_tree import ActionFilter, ActionTree, TreeView
from wingbeat.core.ids import ROOT_ACTION, ActionId, RunId
from wingbeat.operations.current import get
from wingbeat.rpc.run_service.feeds import Bell, Looks
from wingbeat.rpc.run_service.unannounced import RunWakes
from wingbeat.store import action_changes
from wingbeat.store.database import Database, Transaction

COALESCE_SECONDS = 0.02
"""Changes that come together are one look."""


class Follower:
    """One who watches the run: `bell` rings when `view` may have something to take."""

    def __init__(self, tree: ActionTree, wanted: ActionFilter) -> None:
        self.bell = Bell()
        self.view = TreeView(tree, wanted)
        self._tree = tree

    @property
    def done(self) -> bool:
        """The run is over and the view has nothing more to take."""
        return self._tree.over and not self.view.waiting


class RunFeed:
    def __init__(self, database: Database, wakes: RunWakes, run: RunId) -> None:
        self._database = database
        self._wakes = wakes
        self._run = run
        self._tree = ActionTree()
        self._complete = asyncio.Event()
        self._followers: set[Follower] = set()

    @contextmanager
    def follower(self, wanted: ActionFilter) -> Generator[Follower]:
        follower = Follower(self._tree, wanted)
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
        """Ends when the run is over. Raises NotFound: no such run."""
        async with self._wakes.subscribe(self._run) as changes:
            looks = Looks(changes, COALESCE_SECONDS, shared=self._database.shared, unannounced=False)
            at = await self._read_all()
            while True:
                with looks.look() as overlap:
                    at = await self._look(at - overlap)
                if self._tree.over:
                    return
                await looks.wait()

    async def _read_all(self) -> datetime:
        """When the first page was read: what has changed since may be missing."""
        at, actions = await self._database.read(self._first_page)
        self._put(actions)
        while len(actions) == action_changes.PAGE:
            after = actions[-1].id.name
            actions = await self._database.read(lambda tx, after=after: action_changes.page(tx, self._run, after=after))
            self._put(actions)
        return at

    async def _first_page(self, tx: Transaction) -> tuple[datetime, Sequence[Action]]:
        await get(tx, ActionId(self._run, ROOT_ACTION))
        return tx.settled, await action_changes.page(tx, self._run, after="")

    async def _look(self, since: datetime) -> datetime:
        async def body(tx: Transaction) -> tuple[datetime, Sequence[Action]]:
            versions = await action_changes.versions(tx, self._run, since=since)
            names = [name for name, version in versions.items() if not self._tree.knows(name, version)]
            return tx.settled, await action_changes.find_many(tx, self._run, names)

        at, changed = await self._database.read(body)
        self._put(changed)
        if changed or not self._complete.is_set():
            self._complete.set()
            self.ring()
        return at

    def _put(self, actions: Sequence[Action]) -> None:
        touched: set[str] = set()
        for action in actions:
            touched |= self._tree.put(action)
        for follower in self._followers:
            follower.view.touch(touched)
