"""Single rows of different tables that are to be inserted and have not been sent yet: they go in one statement.

A transaction sends them before it asks anything else, and before it commits, so nobody sees the difference.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from wingbeat.store.database import Value


@dataclass(frozen=True, slots=True)
class Insert:
    table: str
    columns: Collection[str]
    row: Sequence[Value]


def statement(inserts: Sequence[Insert]) -> tuple[str, list[Value]]:
    """One statement for all of them, and its parameters."""
    texts: list[str] = []
    values: list[Value] = []
    for each in inserts:
        marks = ", ".join(f"${number}" for number in range(len(values) + 1, len(values) + len(each.row) + 1))
        texts.append(f"INSERT INTO {each.table} ({', '.join(each.columns)}) VALUES ({marks})")
        values += each.row
    *first, last = texts
    if not first:
        return last, values
    return f"WITH {', '.join(f'part_{number} AS ({text})' for number, text in enumerate(first))} {last}", values
