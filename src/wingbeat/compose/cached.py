"""Callables whose results are kept in a file.

Younger than `min_ttl` days a result is used. From there to `max_ttl` the chance of a refresh grows from 0 to 1, and a
refresh that fails leaves the old result in use. Later the callable is called, and what it raises is raised. A call
that several want at the same time is made once.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from wingbeat.clock import Clock, system_clock
from wingbeat.compose.callables import is_async
from wingbeat.compose.configs import NsCacheConfig
from wingbeat.compose.flights import Flight, Flights, making_a_call
from wingbeat.compose.kept_results import (
    SECONDS_A_DAY,
    KeptResults,
    Key,
    Verdict,
    generate_cache_table_ddl,
    table_name_from_path,
)
from wingbeat.compose.nodes import NamespaceNode
from wingbeat.errors import AlreadyExists
from wingbeat.store.compose import caches
from wingbeat.store.compose.caches import Found
from wingbeat.store.compose.connection import File, open_file
from wingbeat.store.compose.transaction import Transaction

__all__ = [
    "CacheProhibitDirectCall",
    "CacheRefreshPushback",
    "CacheRefreshSuppressed",
    "generate_cache_table_ddl",
    "mount_cached_node",
    "table_name_from_path",
]

log = logging.getLogger(__name__)

T = TypeVar("T")
Body = Callable[[Transaction], T]
Call = Callable[[Callable[..., Any]], Any]


class CacheProhibitDirectCall(Exception):
    """What must be called through its cache was called directly."""

    @staticmethod
    def require() -> None:
        """For the body of a callable: raise unless a cache calls it."""
        if not making_a_call():
            raise CacheProhibitDirectCall(
                "this must be called through its cache wrapper, the node in a mounted namespace"
            )


class CacheRefreshPushback(Exception):
    """Raised by a callable that wants no refresh for some days: of itself, or of all under `namespace_prefix`."""

    def __init__(self, days: float, namespace_prefix: str | None = None) -> None:
        super().__init__(f"no refresh for {days} days")
        self.days = days
        self.namespace_prefix = namespace_prefix


class CacheRefreshSuppressed(Exception):
    """What is kept is too old, and there must be no refresh before `suppressed_until`, in seconds since 1970."""

    def __init__(self, namespace_path: str, suppressed_until: float) -> None:
        super().__init__(f"no refresh of {namespace_path} before {suppressed_until}")
        self.namespace_path = namespace_path
        self.suppressed_until = suppressed_until


def mount_cached_node(node: NamespaceNode, db_path: Path, *, clock: Clock = system_clock) -> None:
    """Let calls of the node use results that are kept in the file.

    Raises TypeError for a node without `NsCacheConfig`; ValueError when its parameters do not fit into columns, its
    result not into JSON, or another node has its table; StartError when the file cannot be used.
    """
    if not isinstance(node.config, NsCacheConfig):
        raise TypeError(f"{str(node.nsref)!r} has a {type(node.config).__name__}: it needs a NsCacheConfig")
    results = KeptResults(node.method, node.config)
    file = open_file(db_path, clock=clock)
    try:
        file.write(lambda tx: caches.create(tx, results.table))
    except AlreadyExists as error:
        raise ValueError(f"{str(db_path)!r}: {error}") from error
    reach = (_Awaiting if is_async(node.method.o) else _Blocking)(node.method.o, file)
    cache = _Cache(results, reach)
    node.decorate(cache.awaited if is_async(node.method.o) else cache.called)


class _Blocking:
    """A callable and its file, for threads: nothing here ever suspends."""

    def __init__(self, c: Callable[..., Any], file: File) -> None:
        self.c = c
        self.file = file

    async def read(self, body: Body[T]) -> T:
        return self.file.read(body)

    async def write(self, body: Body[None]) -> None:
        self.file.write(body)

    async def made(self, call: Call) -> Any:
        return call(self.c)

    async def landed(self, flight: Flight) -> str | None:
        return flight.landed.result()


class _Awaiting(_Blocking):
    """The same for an event loop, which is never blocked."""

    async def read(self, body: Body[T]) -> T:
        return await self.file.aread(body)

    async def write(self, body: Body[None]) -> None:
        await self.file.awrite(body)

    async def made(self, call: Call) -> Any:
        return await call(self.c)

    async def landed(self, flight: Flight) -> str | None:
        # Who waits may be cancelled; the others still want what the call brings.
        return await asyncio.shield(asyncio.wrap_future(flight.landed))


class _Cache:
    """The calls of one callable."""

    def __init__(self, results: KeptResults, reach: _Blocking) -> None:
        self._results = results
        self._reach = reach
        self._flights = Flights()

    def called(self, *args: Any, **kwargs: Any) -> Any:
        return _now(self.awaited(*args, **kwargs))

    async def awaited(self, *args: Any, **kwargs: Any) -> Any:
        call, key = self._results.bind(args, kwargs)
        found = await self._find(key)
        match self._results.verdict(found, chance=random.random()):
            case Verdict.USE, value:
                return value
            case Verdict.REFRESH, value:
                return await self._refreshed(call, key, old=value)
            case Verdict.REFUSE, _:
                raise CacheRefreshSuppressed(self._results.place, found.suppressed_until or 0.0)
            case _:
                return await self._fetched(call, key)

    async def _refreshed(self, call: Call, key: Key, *, old: Any) -> Any:
        try:
            return await self._fetched(call, key)
        except CacheRefreshPushback:
            return old
        except (Exception, SystemExit):
            log.warning("the refresh of a result failed, and the old one is used", exc_info=True)
            return old

    async def _fetched(self, call: Call, key: Key) -> Any:
        while True:
            flight = self._flights.join(key)
            if flight.first:
                with self._flights.made(key, flight):
                    return await self._make(call, key, flight)
            if (text := await self._reach.landed(flight)) is not None:
                return self._results.read(text)

    async def _make(self, call: Call, key: Key, flight: Flight) -> Any:
        found = await self._find(key)
        verdict, value = self._results.verdict(found, chance=random.random())
        if verdict is Verdict.USE and self._results.lifetime.is_fresh(found):  # it landed since we looked
            flight.landed.set_result(found.value_json)
            return value
        try:
            result = await self._reach.made(call)
        except CacheRefreshPushback as wish:
            prefix = _prefix(wish.namespace_prefix) or self._results.place
            seconds = wish.days * SECONDS_A_DAY
            await self._reach.write(lambda tx: caches.push_back(tx, prefix, seconds=seconds))
            raise
        text = self._results.write(result)
        await self._reach.write(lambda tx: caches.keep(tx, self._results.table, key, value_json=text))
        flight.landed.set_result(text)
        return result

    async def _find(self, key: Key) -> Found:
        return await self._reach.read(lambda tx: caches.find(tx, self._results.table, key, path=self._results.place))


def _prefix(namespace_prefix: str | None) -> str:
    return (namespace_prefix or "").replace(":", ".").rstrip(".")


def _now(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine brings that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise RuntimeError("a call that must not wait waited")
