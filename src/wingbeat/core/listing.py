"""What a caller asks of a list, and one page of the answer. The store knows which fields each list has."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

T = TypeVar("T")

DEFAULT_LIMIT = 50
MAX_LIMIT = 200


class Function(StrEnum):
    """How a field is compared; the names of flyteidl2.common.Filter.Function.

    A field that is not set matches NOT_EXISTS and nothing else.
    """

    EQUAL = "EQUAL"
    NOT_EQUAL = "NOT_EQUAL"
    GREATER_THAN = "GREATER_THAN"
    GREATER_THAN_OR_EQUAL = "GREATER_THAN_OR_EQUAL"
    LESS_THAN = "LESS_THAN"
    LESS_THAN_OR_EQUAL = "LESS_THAN_OR_EQUAL"
    CONTAINS = "CONTAINS"
    CONTAINS_CASE_INSENSITIVE = "CONTAINS_CASE_INSENSITIVE"
    ENDS_WITH = "ENDS_WITH"
    NOT_ENDS_WITH = "NOT_ENDS_WITH"
    VALUE_IN = "VALUE_IN"
    VALUE_NOT_IN = "VALUE_NOT_IN"
    EXISTS = "EXISTS"
    NOT_EXISTS = "NOT_EXISTS"


@dataclass(frozen=True, slots=True)
class Filter:
    field: str
    function: Function
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sort:
    field: str
    ascending: bool = False


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Every filter must match; an empty `sort` is the list's own order; an empty `token` is the first page."""

    limit: int = DEFAULT_LIMIT
    token: str = ""
    sort: tuple[Sort, ...] = ()
    filters: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: Sequence[T]
    next_token: str
    """Empty when there is nothing more."""
