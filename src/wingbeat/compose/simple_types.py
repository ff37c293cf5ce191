"""Types whose values fit into a column as they are, so that people can query by them."""

from datetime import date
from decimal import Decimal
from enum import Enum
from math import isnan
from pathlib import PurePath
from typing import Any
from uuid import UUID

from wingbeat.compose.refs import NsRef

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

_KINDS = tuple(kind for kind, _ in _COLUMNS)


def column_type(annotation: Any) -> str | None:
    """The type of the column; None for a type of which values do not fit into one."""
    if not isinstance(annotation, type):
        return None
    if issubclass(annotation, Enum):
        kinds = {column_type(type(member.value)) for member in annotation}
        return kinds.pop() if len(kinds) == 1 else None
    return next((column for known, column in _COLUMNS if issubclass(annotation, known)), None)


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
