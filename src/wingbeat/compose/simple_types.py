"""Types whose values fit into a column as they are, so that people can query by them."""

from datetime import date
from decimal import Decimal
from enum import Enum
from math import isnan
from pathlib import Path, PurePath
from typing import Any, cast
from uuid import UUID

from wingbeat.compose.refs import NsRef
from wingbeat.store.compose.texts import is_storable

_COLUMNS: tuple[tuple[type, str], ...] = (
    (bool, "INTEGER"),
    (int, "INTEGER"),
    (float, "REAL"),
    (str, "TEXT"),
    (date, "TEXT"),
    (Decimal, "TEXT"),
    (PurePath, "TEXT"),
    (UUID, "TEXT"),
    (NsRef, "TEXT"),
)

_MOST_EXACT = 2**53
"""Whole numbers up to it are floats as well."""
_KINDS = tuple(kind for kind, _ in _COLUMNS)


def column_type(annotation: Any) -> str | None:
    """The type of the column; None for a type of which values do not fit into one."""
    if not isinstance(annotation, type):
        return None
    if issubclass(annotation, Enum):
        kinds = {column_type(type(member.value)) for member in annotation}
        return kinds.pop() if len(kinds) == 1 else None
    return next((column for known, column in _COLUMNS if issubclass(annotation, known)), None)


def to_key(value: Any, annotation: Any) -> str | bytes | int | float:
    """What calls are told apart by: `to_column`, and bytes for what a column would not tell from another value.

    That is a value that is not of the annotated type itself, and a text that no UTF-8 stands for. Raises like
    `to_column`, and TypeError for what is no whole number where the column is for those, which may hold nothing else.
    """
    column = to_column(value)
    if _is_exact(value, annotation) and not (isinstance(column, str) and not is_storable(column)):
        return column
    if column_type(annotation) == "INTEGER":
        raise TypeError(f"{value!r} is a {type(value).__name__}, and its column is for {annotation.__name__}")
    kind = cast("type[object]", type(value))
    return f"{kind.__module__}:{kind.__qualname__} {column}".encode("utf-8", "surrogatepass")


def to_column(value: Any) -> str | int | float:
    """The value as its column has it: dates and times in ISO 8601, the rest as numbers and text.

    Raises TypeError for a value of another type, ValueError for NaN, which no column holds.
    """
    if isinstance(value, Enum):
        return to_column(value.value)
    if not isinstance(value, _KINDS):
        raise TypeError(f"{value!r} is a {type(value).__name__}, which does not fit into a column")
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if isnan(value):
            raise ValueError("nan does not fit into a column")
        return value
    return value.isoformat() if isinstance(value, date) else str(value)


def _is_exact(value: Any, annotation: Any) -> bool:
    kind = cast("type[object]", type(value))
    if kind is annotation:
        return True
    if issubclass(annotation, int):
        return isinstance(value, int) or (kind is float and value.is_integer())
    if annotation is float:
        return kind is int and abs(value) <= _MOST_EXACT
    return isinstance(value, PurePath) and annotation in (Path, PurePath) and kind is type(annotation())
