"""PostgreSQL: a pool of connections. Each transaction sets its own time-outs: a frozen process blocks nobody long."""

import asyncio
import random
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TypeVar

import asyncpg

from wingbeat.clock import Clock
from wingbeat.errors import Conflict, ResourceExhausted, StartError, Unavailable, Unstorable
from wingbeat.store import migrations
from wingbeat.store.changes import Changes
from wingbeat.store.database import READ_SECONDS, TOO_SLOW, Argument, Body, Row, Value, unique, without_password
from wingbeat.store.driver import FAULTS, Connection, Pool, connect, create_pool
from wingbeat.store.notifications import Notifications
from wingbeat.store.pending import Insert, statement

T = TypeVar("T")

MAX_TRIES = 8
"""Runs of one body before what others did at the same time reaches the caller."""
TRANSACTION_SECONDS = 90.0
"""No transaction takes longer, whatever the server's settings are. A clock for each statement cost a twentieth."""
_BEGIN_WRITE = (
    "BEGIN; SET LOCAL lock_timeout = '10s'; SET LOCAL statement_timeout = '60s';"
    " SET LOCAL idle_in_transaction_session_timeout = '10s'"
)
_BEGIN_READ = (
    f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {1000 * READ_SECONDS:.0f};"
    " SET LOCAL idle_in_transaction_session_timeout = '30s'"
)
_PASSING = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.ForeignKeyViolationError)
"""What the next try hardly ever meets: others, who may have removed a row that this one has just seen."""
_MIGRATION_LOCK = 0x77696E67  # "wing"


class PostgresqlTransaction:
    for_update = " FOR UPDATE"
    for_share = " FOR SHARE"
    skip_locked = " FOR UPDATE SKIP LOCKED"

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self.now = now
        self.settled = now
        self.topics: list[str] = []
        self._pending: list[Insert] = []

    async def fetch(self, sql: str, *args: Argument) -> Sequence[Row]:
        await self.send_pending()
        return await self._connection.fetch(sql, *args)

    async def fetchrow(self, sql: str, *args: Value) -> Row | None:
        await self.send_pending()
        return await self._connection.fetchrow(sql, *args)

    async def execute(self, sql: str, *args: Value) -> int:
        await self.send_pending()
        status = await self._connection.execute(sql, *args)
        count = status.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def insert(self, table: str, columns: Collection[str], rows: Sequence[Sequence[Value]]) -> None:
        # Two rows of one table in one statement would get their numbers in any order.
        if len(rows) > 1 or any(each.table == table for each in self._pending):
            await self.send_pending()
        if len(rows) == 1:
            self._pending.append(Insert(table, columns, rows[0]))
        elif rows:
            await self._connection.copy_records_to_table(table, columns=list(columns), records=rows)

    async def update(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        if rows:
            await self.send_pending()
            await self._connection.executemany(sql, rows)

    def changed(self, *topics: str) -> None:
        self.topics.extend(topics)

    async def send_pending(self) -> None:
        if self._pending:
            sql, values = statement(self._pending)
            self._pending.clear()
            await self._connection.execute(sql, *values)


class _Reading(PostgresqlTransaction):
    async def fetch(self, sql: str, *args: Argument) -> Sequence[Row]:
        try:
            return await super().fetch(sql, *args)
        except asyncpg.QueryCanceledError as error:
            raise ResourceExhausted(TOO_SLOW) from error


class PostgresqlDatabase:
    shared = True

    def __init__(self, pool: Pool, notifications: Notifications, clock: Clock | None) -> None:
        self._pool = pool
        self._notifications = notifications
        self._clock = clock
        self.changes = notifications.changes

    async def write(self, body: Body[T]) -> T:
        for tries in range(1, MAX_TRIES + 1):
            try:
                result, topics = await self._try_write(body)
            except _PASSING as error:
                if tries == MAX_TRIES:
                    raise _translate(error) from error
                await asyncio.sleep(random.uniform(0, 0.01 * 2**tries))
            else:
                self._notifications.send(unique(topics))
                return result
        raise AssertionError("unreachable")

    async def _try_write(self, body: Body[T]) -> tuple[T, list[str]]:
        async with self._transaction(_BEGIN_WRITE, PostgresqlTransaction) as tx:
            result = await body(tx)
        return result, tx.topics

    async def read(self, body: Body[T]) -> T:
        async with self._transaction(_BEGIN_READ, _Reading) as tx:
            return await body(tx)

    async def close(self) -> None:
        await self._notifications.stop()
        await self._pool.close()

    @asynccontextmanager
    async def _transaction(
        self, begin: str, kind: type[PostgresqlTransaction]
    ) -> AsyncGenerator[PostgresqlTransaction]:
        try:
            async with self._pool.acquire() as connection, asyncio.timeout(TRANSACTION_SECONDS):
                await connection.execute(begin)
                try:
                    tx = kind(connection, await self._now(connection))
                    yield tx
                    await tx.send_pending()
                    await connection.execute("COMMIT")
                except Exception:
                    await _roll_back(connection)
                    raise
                except BaseException:
                    # A statement may be under way, so no further one can be sent: the server rolls back by itself.
                    connection.terminate()
                    raise
        except _PASSING:
            raise
        except FAULTS as error:
            raise _translate(error) from error

    async def _now(self, connection: Connection) -> datetime:
        if self._clock is not None:
            return self._clock()
        moment: datetime = await connection.fetchval("SELECT transaction_timestamp()")
        return moment.astimezone(UTC)


async def _roll_back(connection: Connection) -> None:
    """Or hang up, so that nobody gets a connection from the pool that cannot go on."""
    try:
        await connection.execute("ROLLBACK")
    except FAULTS:
        connection.terminate()


async def open_postgresql(url: str, clock: Clock | None) -> PostgresqlDatabase:
    """Raises StartError."""
    try:
        await _migrate(url)
        pool = await create_pool(url)
    except (*FAULTS, ValueError) as error:
        raise StartError(f"database {without_password(url)} cannot be used: {error}") from error
    notifications = Notifications(url, pool, Changes())
    notifications.start()
    return PostgresqlDatabase(pool, notifications, clock)


async def _migrate(url: str) -> None:
    connection = await connect(url)
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _MIGRATION_LOCK)
            await connection.execute(
                "CREATE TABLE IF NOT EXISTS schema_migration (version BIGINT PRIMARY KEY, name TEXT NOT NULL,"
                " applied_at TIMESTAMPTZ NOT NULL DEFAULT now())"
            )
            applied = await connection.fetchval("SELECT coalesce(max(version), 0) FROM schema_migration")
            for migration in migrations.pending("postgresql", applied):
                await connection.execute(migration.sql)
                await connection.execute(
                    "INSERT INTO schema_migration (version, name) VALUES ($1, $2)",
                    migration.version,
                    migration.name,
                )
    finally:
        await connection.close()


def _translate(error: Exception) -> Exception:
    """What a caller can do about an error of the driver; others stay what they are."""
    match error:
        case asyncpg.UniqueViolationError():
            return Conflict("changed by someone else at the same time: read again and retry")
        case asyncpg.CharacterNotInRepertoireError():
            return Unstorable("a text holds a NUL character, which cannot be stored")
        case asyncpg.DataError() if "out of int64 range" in str(error):
            return Unstorable("a number is beyond 63 bits and cannot be stored")
        case asyncpg.ForeignKeyViolationError():
            return Conflict("what this speaks of was removed at the same time: read again and retry")
        case asyncpg.SerializationError() | asyncpg.DeadlockDetectedError():
            return Unavailable("the database is busy: try again")
        case asyncpg.LockNotAvailableError() | asyncpg.QueryCanceledError():
            return Unavailable("the database is busy: try again")
        case (
            asyncpg.PostgresConnectionError()
            | asyncpg.OperatorInterventionError()
            | asyncpg.InsufficientResourcesError()
            | asyncpg.InterfaceError()
            | asyncpg.InternalClientError()
            | OSError()
            | TimeoutError()
        ):
            return Unavailable("the database cannot be reached: try again")
        case _:
            return error
