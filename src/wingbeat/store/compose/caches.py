"""Results that are kept: a table for each callable, with a typed column for each parameter, so people can query it.

Its one rule: it is a cache. A table whose columns do not fit (any more) is thrown away; times are seconds since 1970.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache

from wingbeat.errors import AlreadyExists
from wingbeat.store.compose.transaction import Transaction, Value

_VALUE_COLUMNS = (("value_json", "TEXT"), ("fetched_at", "REAL"))
RESERVED = frozenset(name for name, _ in _VALUE_COLUMNS)
"""Names that no parameter can have."""

_OWNERS = "CREATE TABLE IF NOT EXISTS _cached (table_name TEXT PRIMARY KEY, nsref TEXT NOT NULL)"
_PUSHBACKS = """
    CREATE TABLE IF NOT EXISTS _pushback (namespace_prefix TEXT NOT NULL, suppressed_until REAL NOT NULL)
"""
_ONE_A_PREFIX = "CREATE UNIQUE INDEX IF NOT EXISTS _pushback_prefix ON _pushback (namespace_prefix)"


@dataclass(frozen=True, slots=True)
class CacheTable:
    """The table of a callable; columns as pairs of name and type."""

    name: str
    nsref: str
    parameters: tuple[tuple[str, str], ...]

    @property
    def ddl(self) -> str:
        columns = [f"{_quoted(name)} {kind} NOT NULL" for name, kind in (*self.parameters, *_VALUE_COLUMNS)]
        if self.parameters:
            columns.append(f"PRIMARY KEY ({', '.join(_quoted(name) for name, _ in self.parameters)})")
        return f"CREATE TABLE IF NOT EXISTS {_quoted(self.name)} ({', '.join(columns)})"

    @property
    def condition(self) -> str:
        return " AND ".join(f"{_quoted(name)} = ?" for name, _ in self.parameters) or "TRUE"


@dataclass(frozen=True, slots=True)
class Found:
    """What is kept for a call, if anything, and until when it must not be fetched again."""

    value_json: str | None
    age: float
    """In seconds."""
    suppressed_until: float | None


def create(tx: Transaction, table: CacheTable) -> None:
    """Make it ready to be used. Raises AlreadyExists when another callable's results are in a table of this name."""
    for statement in (_OWNERS, _PUSHBACKS, _ONE_A_PREFIX):
        tx.execute(statement)
    tx.execute("INSERT INTO _cached VALUES (?, ?) ON CONFLICT DO NOTHING", table.name, table.nsref)
    owner = tx.fetchrow("SELECT nsref FROM _cached WHERE table_name = ?", table.name)
    if owner != (table.nsref,):
        raise AlreadyExists(f"table {table.name!r} has results of {owner and owner[0]!r}: rename {table.nsref!r}")
    wanted = [*table.parameters, *_VALUE_COLUMNS]
    if [(name, kind) for _, name, kind, *_ in tx.fetch(f"PRAGMA table_info({_quoted(table.name)})")] == wanted:
        return
    tx.execute(f"DROP TABLE IF EXISTS {_quoted(table.name)}")
    tx.execute(table.ddl)


def find(tx: Transaction, table: CacheTable, key: tuple[Value, ...], *, path: str) -> Found:
    """What is kept for these values of the parameters; `path` is the callable's place, with dots only."""
    sql = f"SELECT value_json, fetched_at FROM {_quoted(table.name)} WHERE {table.condition} LIMIT 1"
    row = tx.fetchrow(sql, *key)
    now = tx.now.timestamp()
    suppressed = tx.fetchrow(
        """SELECT max(suppressed_until) FROM _pushback
           WHERE suppressed_until > ? AND (namespace_prefix = ?
             OR substr(?, 1, length(namespace_prefix) + 1) = namespace_prefix || '.')""",
        now,
        path,
        path,
    )
    until: float | None = suppressed[0] if suppressed else None
    return Found(None, 0.0, until) if row is None else Found(row[0], now - row[1], until)


def keep(tx: Transaction, table: CacheTable, key: tuple[Value, ...], *, value_json: str) -> None:
    """In the place of what is kept for these values."""
    tx.execute(f"DELETE FROM {_quoted(table.name)} WHERE {table.condition}", *key)
    marks = ", ".join("?" * (len(key) + len(_VALUE_COLUMNS)))
    tx.execute(f"INSERT INTO {_quoted(table.name)} VALUES ({marks})", *key, value_json, tx.now.timestamp())


def push_back(tx: Transaction, prefix: str, *, seconds: float) -> None:
    """Let nothing under the prefix be fetched again for so long; forgets what is over."""
    now = tx.now.timestamp()
    tx.execute("DELETE FROM _pushback WHERE suppressed_until <= ?", now)
    tx.execute(
        """INSERT INTO _pushback (namespace_prefix, suppressed_until) VALUES (?, ?)
           ON CONFLICT (namespace_prefix) DO UPDATE SET suppressed_until = excluded.suppressed_until""",
        prefix,
        now + seconds,
    )


def _quoted(name: str) -> str:
    """Where it must be: people read these statements."""
    return name if _is_plain(name) else '"' + name.replace('"', '""') + '"'


@lru_cache(1024)
def _is_plain(name: str) -> bool:
    """SQLite itself knows best which words it keeps for itself."""
    if not (name.isascii() and name.isidentifier()):
        return False
    with closing(sqlite3.connect(":memory:")) as connection:
        try:
            connection.execute(f"CREATE TABLE {name} ({name} TEXT)")
            connection.execute(f"INSERT INTO {name} ({name}) VALUES ('itself')")
            return connection.execute(f"SELECT 1 FROM {name} WHERE {name} = 'itself'").fetchone() is not None
        except sqlite3.OperationalError:
            return False
