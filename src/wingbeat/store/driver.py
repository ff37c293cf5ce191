"""The part of asyncpg that is used here, typed: its own annotations are partial."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import asyncpg

from wingbeat.store.database import Argument, Row, Value

MAX_CONNECTIONS = 16

FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""What the driver raises. InternalClientError among them: for a moment after its server was killed, a connection that
is not closed yet has a protocol in no state to go on."""


class Connection(Protocol):
    async def execute(self, sql: str, *args: Value) -> str: ...
    async def executemany(self, sql: str, rows: Iterable[Sequence[Value]]) -> None: ...
    async def fetch(self, sql: str, *args: Argument) -> list[Row]: ...
    async def fetchrow(self, sql: str, *args: Value) -> Row | None: ...
    async def fetchval(self, sql: str, *args: Value) -> Any: ...
    async def copy_records_to_table(
        self, table: str, *, records: Iterable[Sequence[Value]], columns: Sequence[str]
    ) -> str: ...
    async def add_listener(self, channel: str, callback: Callable[[object, int, str, object], None]) -> None: ...
    def add_termination_listener(self, callback: Callable[[object], None]) -> None: ...
    def transaction(self) -> AbstractAsyncContextManager[None]: ...
    def terminate(self) -> None: ...
    async def close(self) -> None: ...


class Pool(Protocol):
    def acquire(self) -> AbstractAsyncContextManager[Connection]: ...
    async def execute(self, sql: str, *args: Value) -> str: ...
    async def close(self) -> None: ...


class _PooledConnection(asyncpg.Connection):
    def get_reset_query(self) -> str:
        """Nothing outlives a transaction here, so a returned connection needs no round trip to be clean."""
        return ""


_asyncpg: Any = asyncpg


async def connect(url: str) -> Connection:
    return await _asyncpg.connect(url)


async def create_pool(url: str) -> Pool:
    return await _asyncpg.create_pool(
        url,
        min_size=1,
        max_size=MAX_CONNECTIONS,
        connection_class=_PooledConnection,
    )
