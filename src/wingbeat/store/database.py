"""Connections and transactions. One transaction has one `now`, and its body awaits nothing but the transaction.

`await database.write(body)` runs `body(tx)` and commits; any exception rolls back. Statements have the form of
PostgreSQL (`$1`); both databases understand the rest. Errors of the drivers become ours in their two modules.
"""

import re
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from wingbeat.clock import Clock, system_clock
from wingbeat.errors import StartError
from wingbeat.store.changes import Changes

T = TypeVar("T")

Value = str | bytes | int | bool | None
"""What a row holds."""
Argument = Value | list[int] | list[str]
"""What a query takes. A list is for `= ANY($n::bigint[])`: many keys, one plan."""

READ_SECONDS = 10.0
"""No read takes longer: SQLite counts the whole body, PostgreSQL each statement."""
TOO_SLOW = f"the database gave up reading after {READ_SECONDS:.0f} s: ask for less"

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PASSWORD = re.compile(r"(?:(?<=://)([^:@/]*):.*(?=@)|(?<=[?&]password=)[^&]*)")
"""Behind the user's name, or a parameter."""


class Row(Protocol):
    """A row of a result, by column name."""

    def __getitem__(self, column: str) -> Any: ...


class Transaction(Protocol):
    """The only thing a body may await. Times in the database are whole microseconds since 1970."""

    @property
    def now(self) -> datetime:
        """The one moment of this transaction."""
        ...

    @property
    def settled(self) -> datetime:
        """Up to where this transaction sees what others have written, by their `now`.

        Never later than `now`. With one writer it is exact; where several write, one may end later than that.
        """
        ...

    @property
    def for_update(self) -> str:
        """The clause that locks the rows of a SELECT until the end."""
        ...

    @property
    def for_share(self) -> str:
        """The clause that keeps the rows of a SELECT as they are until the end; several may do so at once."""
        ...

    @property
    def skip_locked(self) -> str:
        """The clause that locks the rows of a SELECT and passes over those that others have locked."""
        ...

    async def fetch(self, sql: str, *args: Argument) -> Sequence[Row]: ...

    async def fetchrow(self, sql: str, *args: Value) -> Row | None: ...

    async def execute(self, sql: str, *args: Value) -> int:
        """The number of rows that changed."""
        ...

    async def insert(self, table: str, columns: Collection[str], rows: Sequence[Sequence[Value]]) -> None:
        """Insert rows as one set. Raises Conflict for a taken key, at the latest with the next statement or the end."""
        ...

    async def update(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        """Run one UPDATE or DELETE for each of `rows`, which are its `$1`, `$2`..."""
        ...

    def changed(self, *topics: str) -> None:
        """Tell the subscribers of these topics once the transaction is committed."""
        ...


Body = Callable[[Transaction], Coroutine[Any, Any, T]]
"""An async function that awaits only the transaction it is given."""


class Database(Protocol):
    @property
    def changes(self) -> Changes: ...

    @property
    def shared(self) -> bool:
        """Whether other processes may use the same database at the same time."""
        ...

    async def write(self, body: Body[T]) -> T:
        """Run `body` in one transaction that may write. It may run again after a serialisation failure or deadlock."""
        ...

    async def read(self, body: Body[T]) -> T:
        """Run `body` on one consistent snapshot. It may run again from its start, when it turns out to take long.

        Raises ResourceExhausted after `READ_SECONDS`.
        """
        ...

    async def close(self) -> None: ...


async def open_database(url: str, clock: Clock | None = None) -> Database:
    """Open `sqlite:///path`, a bare path, or `postgresql://...`, and bring its schema up to date.

    With `clock`, `tx.now` comes from it; otherwise SQLite asks the system and PostgreSQL itself.
    Raises StartError: not readable, not reachable, or its schema is newer than this program.
    """
    scheme = urlsplit(url).scheme
    if scheme in ("postgresql", "postgres"):
        try:
            from wingbeat.store.postgresql import open_postgresql
        except ModuleNotFoundError as error:
            raise StartError("PostgreSQL needs its driver: pip install 'wingbeat[postgres]'") from error
        return await open_postgresql(url, clock)
    if scheme not in ("", "sqlite"):
        raise StartError(
            f"database {without_password(url)!r}: expected a file, sqlite:///FILE or postgresql://USER@HOST/NAME"
        )
    from wingbeat.store.sqlite import open_sqlite

    path = url.removeprefix("sqlite://") if scheme else url
    return open_sqlite(Path(path.removeprefix("/") if path.startswith("/./") else path), clock or system_clock)


def without_password(url: str) -> str:
    """A database's URL as people may see it."""
    return _PASSWORD.sub(r"\1", url)


def to_micros(moment: datetime) -> int:
    return (moment - EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


def maybe_micros(moment: datetime | None) -> int | None:
    return None if moment is None else to_micros(moment)


def maybe_moment(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)


def maybe_span(length: timedelta | None) -> int | None:
    return None if length is None else length // _MICROSECOND


def maybe_timedelta(micros: int | None) -> timedelta | None:
    return None if micros is None else timedelta(microseconds=micros)


def placeholders(start: int, count: int) -> str:
    """`$start, $start+1, ...` for an IN list of `count` values."""
    return ", ".join(f"${number}" for number in range(start, start + count))


def unique(topics: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(topics))
