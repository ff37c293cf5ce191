"""Filters of lists as SQL: known columns only, and every value is a parameter of its column's kind."""

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto

from wingbeat.core.listing import Filter, Function
from wingbeat.errors import InvalidArgument
from wingbeat.store.database import Value, to_micros

MAX_VALUES = 500
"""Values in all filters of one query: far more than anyone asks for, and within the limits of both databases."""
_INT64 = range(-(2**63), 2**63)
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_INTEGER = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_FLAGS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}


class Kind(Enum):
    TEXT = auto()
    INTEGER = auto()
    MOMENT = auto()
    """Whole microseconds in the database; ISO 8601 or microseconds in a filter, UTC where no offset is given."""
    FLAG = auto()


@dataclass(frozen=True, slots=True)
class Column:
    """A field of a list. `sql` is an expression over the list's tables.

    In an open column, such as `labels.<key>`, `{key}` stands for the parameter that holds the rest of the field's name.
    """

    sql: str
    kind: Kind = Kind.TEXT
    nullable: bool = False


class Arguments:
    """The parameters of a statement, numbered as they come."""

    def __init__(self, *values: Value) -> None:
        self.values: list[Value] = list(values)

    def add(self, value: Value) -> str:
        """The placeholder."""
        self.values.append(value)
        return f"${len(self.values)}"

    def rows(self, rows: Iterable[Sequence[Value]]) -> str:
        """What follows VALUES."""
        return ", ".join(f"({', '.join(map(self.add, row))})" for row in rows)


class Columns:
    """The fields of one list, by name; `open_columns` by the prefix of the name."""

    def __init__(self, columns: Mapping[str, Column], open_columns: Mapping[str, Column] | None = None) -> None:
        self._columns = dict(columns)
        self._open = dict(open_columns or {})

    def __getitem__(self, field: str) -> Column:
        """Raises InvalidArgument for an unknown field."""
        if field not in self._columns:
            raise InvalidArgument(f"unknown field {field!r}: this list has {', '.join(sorted(self._columns))}")
        return self._columns[field]

    def resolve(self, field: str, args: Arguments) -> Column:
        """Like `[field]`, open columns included."""
        for prefix, column in self._open.items():
            if field.startswith(prefix) and field != prefix:
                key = args.add(_checked(field.removeprefix(prefix), field))
                return Column(column.sql.format(key=key), column.kind, nullable=column.nullable)
        return self[field]


def conditions(filters: Sequence[Filter], columns: Columns, args: Arguments) -> list[str]:
    """One SQL condition for each filter. Raises InvalidArgument naming the field."""
    if sum(max(1, len(each.values)) for each in filters) > MAX_VALUES:
        raise InvalidArgument(f"too many filters: at most {MAX_VALUES} values in all")
    return [_condition(each, columns, args) for each in filters]


def admits(filters: Sequence[Filter], field: str, value: int) -> bool:
    """Whether the filters that speak of an integer `field`, which is always set, let `value` through."""
    return all(_admits(each, value) for each in filters if each.field == field)


def storable(text: str) -> bool:
    """Whether both databases take `text`: no NUL, no half of a surrogate pair."""
    return not _UNSTORABLE.search(text)


def _admits(each: Filter, value: int) -> bool:
    match each.function:
        case Function.EXISTS | Function.NOT_EXISTS:
            return each.function is Function.EXISTS
        case Function.VALUE_IN | Function.VALUE_NOT_IN:
            among = value in [_integer(text, each.field) for text in each.values]
            return among is (each.function is Function.VALUE_IN)
        case function:
            return _MEANINGS[function](value, _integer(_one(each, Kind.INTEGER), each.field))


def _condition(each: Filter, columns: Columns, args: Arguments) -> str:
    column = columns.resolve(each.field, args)
    match each.function:
        case Function.EXISTS:
            return f"({column.sql}) IS NOT NULL"
        case Function.NOT_EXISTS:
            return f"({column.sql}) IS NULL"
        case Function.VALUE_IN | Function.VALUE_NOT_IN:
            values = [args.add(_coerced(value, column, each.field)) for value in _some(each)]
            operator = "IN" if each.function is Function.VALUE_IN else "NOT IN"
            return f"({column.sql}) {operator} ({', '.join(values)})"
        case function if function in _COMPARISONS:
            value = args.add(_coerced(_one(each, column.kind), column, each.field))
            return f"({column.sql}) {_COMPARISONS[function]} {value}"
        case function:
            return _text_condition(each, column, _TEXT_CONDITIONS[function], args)


_COMPARISONS = {
    Function.EQUAL: "=",
    Function.NOT_EQUAL: "<>",
    Function.GREATER_THAN: ">",
    Function.GREATER_THAN_OR_EQUAL: ">=",
    Function.LESS_THAN: "<",
    Function.LESS_THAN_OR_EQUAL: "<=",
}
_MEANINGS: Mapping[Function, Callable[[int, int], bool]] = {
    Function.EQUAL: operator.eq,
    Function.NOT_EQUAL: operator.ne,
    Function.GREATER_THAN: operator.gt,
    Function.GREATER_THAN_OR_EQUAL: operator.ge,
    Function.LESS_THAN: operator.lt,
    Function.LESS_THAN_OR_EQUAL: operator.le,
}


def _text_condition(each: Filter, column: Column, render: Callable[[str, str, int], str], args: Arguments) -> str:
    if column.kind is not Kind.TEXT:
        raise InvalidArgument(f"filter on {each.field!r}: {each.function} works on text only")
    text = _checked(_one(each, column.kind), each.field)
    if not text:
        raise InvalidArgument(f"filter on {each.field!r}: {each.function} needs a text that is not empty")
    return render(f"({column.sql})", args.add(text), len(text))


def _contains(sql: str, text: str, _length: int) -> str:
    """Not LIKE: it has wildcards, and SQLite's ignores case."""
    return f"replace({sql}, {text}, '') <> {sql}"


def _contains_any_case(sql: str, text: str, _length: int) -> str:
    """SQLite knows the case of ASCII letters only."""
    return f"replace(lower({sql}), lower({text}), '') <> lower({sql})"


def _ends_with(sql: str, text: str, length: int) -> str:
    return f"substr({sql}, length({sql}) - {length - 1}) = {text}"


def _not_ends_with(sql: str, text: str, length: int) -> str:
    return f"NOT {_ends_with(sql, text, length)}"


_TEXT_CONDITIONS = {
    Function.CONTAINS: _contains,
    Function.CONTAINS_CASE_INSENSITIVE: _contains_any_case,
    Function.ENDS_WITH: _ends_with,
    Function.NOT_ENDS_WITH: _not_ends_with,
}


def _some(each: Filter) -> tuple[str, ...]:
    if not each.values:
        raise InvalidArgument(f"filter on {each.field!r}: {each.function} needs a value")
    return each.values


def _one(each: Filter, kind: Kind) -> str:
    values = _some(each)
    if len(values) == 1:
        return values[0]
    # The SDK gives a string where a list belongs, so that phase 10 arrives as "1", "0".
    if kind is Kind.INTEGER and all(len(value) == 1 and value.isdigit() for value in values):
        return "".join(values)
    raise InvalidArgument(f"filter on {each.field!r}: {each.function} takes one value, got {len(values)}")


def _coerced(text: str, column: Column, field: str) -> Value:
    """`text` as a value of the column's kind. Raises InvalidArgument naming the field."""
    match column.kind:
        case Kind.TEXT:
            return _checked(text, field)
        case Kind.INTEGER:
            return _integer(text, field)
        case Kind.MOMENT:
            return _integer(text, field) if _INTEGER.fullmatch(text) else _micros(text, field)
        case Kind.FLAG:
            if text.lower() not in _FLAGS:
                raise InvalidArgument(f"filter on {field!r}: {text!r} is neither true nor false")
            return _FLAGS[text.lower()]


def _checked(text: str, field: str) -> str:
    if not storable(text):
        raise InvalidArgument(f"filter on {field!r}: a text cannot contain the character NUL")
    return text


def _integer(text: str, field: str) -> int:
    if not _INTEGER.fullmatch(text) or int(text) not in _INT64:
        raise InvalidArgument(f"filter on {field!r}: {text!r} is not a whole number of 64 bits")
    return int(text)


def _micros(text: str, field: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidArgument(
            f"filter on {field!r}: {text!r} is not a time such as 2026-01-31T12:00:00+01:00"
        ) from None
    return to_micros(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
