"""Values that conditions are signalled with: of four types, and never silently of another one than was declared."""

import re
from enum import IntEnum

from wingbeat.errors import InvalidArgument

Value = bool | int | float | str

MAX_TEXT = 1024 * 1024
"""Characters of a text: it travels inside of the updates to whoever waits for it."""
_INT64 = range(-(2**63), 2**63)
_SURROGATE = re.compile("[\ud800-\udfff]")
"""JSON can write them; a protobuf message cannot."""


class ValueType(IntEnum):
    """The numbers of flyteidl2.core.SimpleType."""

    INTEGER = 1
    FLOAT = 2
    STRING = 3
    BOOLEAN = 4


def type_of(value: Value) -> ValueType:
    match value:
        case bool():
            return ValueType.BOOLEAN
        case int():
            return ValueType.INTEGER
        case float():
            return ValueType.FLOAT
        case str():
            return ValueType.STRING


def check(value: Value, declared: ValueType) -> None:
    """Raises InvalidArgument, saying which type it is and which one it should be."""
    given = type_of(value)
    if given is not declared:
        raise InvalidArgument(f"the value is of type {given.name}, and {declared.name} is declared")
    if isinstance(value, int) and value not in _INT64:
        raise InvalidArgument(f"{value} does not fit in 64 bits")
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise InvalidArgument(f"the value has {len(value)} characters: {MAX_TEXT} are the most")
    if isinstance(value, str) and _SURROGATE.search(value):
        raise InvalidArgument("the value holds half of a character (a lone surrogate), which no message can carry")


def widened(value: Value, declared: ValueType) -> Value:
    """For callers that have one kind of numbers only, such as JavaScript: 3 is a FLOAT where one is declared."""
    is_integer = type_of(value) is ValueType.INTEGER and value in _INT64
    return float(value) if declared is ValueType.FLOAT and is_integer else value


def same(one: Value, other: Value) -> bool:
    """Of equal type too; a number that is none is the same as itself."""
    return repr(one) == repr(other)
