"""Single rows of different tables that are to be inserted and have not been sent yet: they go in one statement.

A transaction sends them before it asks anything else, and before it commits, so nobody sees the difference.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache

from wingbeat.store.database import Value, placeholders


@dataclass(frozen=True, slots=True)
class Insert:
    table: str
    columns: Collection[str]
    row: Sequence[Value]


def statement(inserts: Sequence[Insert]) -> tuple[str, list[Value]]:
    """One statement for all of them, and its parameters."""
    values = [value for each in inserts for value in each.row]
    return _text(tuple((each.table, tuple(each.columns)) for each in inserts)), values


@cache
def _text(tables: tuple[tuple[str, tuple[str, ...]], ...]) -> str:
    """There are as many as there are combinations in the code: a handful."""
    texts: list[str] = []
    number = 1
    for table, columns in tables:
        marks = placeholders(number, len(columns))
        texts.append(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})")
        number += len(columns)
    *first, last = texts
    if not first:
        return last
    return f"WITH {', '.join(f'part_{number} AS ({text})' for number, text in enumerate(first))} {last}"
