"""What inputs of a node are compared by: their contents as text, and the types that the text does not tell apart.

Its one rule: inputs with equal keys are equal, and of equal types all the way down.
"""

import json
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import PurePath
from typing import Any, TypeAlias, cast

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

Key: TypeAlias = tuple[str, tuple[type, ...]]
_UNCOMPARABLE = (AttributeError, TypeError, ValueError, RecursionError)
_AS_THEY_ARE = frozenset({type(None), bool, int, float, str})


def key_of(inputs: Mapping[str, Any]) -> Key:
    """Raises ValueError, which names the parameter, for an input that cannot be compared."""
    types: list[type] = []
    told = {name: _told(name, inputs[name], types) for name in sorted(inputs)}
    return json.dumps(told, separators=(",", ":")), tuple(types)


def _told(name: str, value: Any, types: list[type]) -> Any:
    try:
        return _plain(value, types)
    except _UNCOMPARABLE as error:
        raise ValueError(f"parameter {name!r}: {error}") from error


def _plain(value: Any, types: list[type]) -> Any:
    """JSON in which every other value has the number of its type among those seen so far."""
    kind = cast("type[Any]", type(value))
    if kind in _AS_THEY_ARE:
        return value
    if kind is list:
        return [_plain(each, types) for each in value]
    types.append(kind)
    return {str(len(types)): _contents(value, types)}


def _contents(value: Any, types: list[type]) -> Any:
    match value:
        case Enum():
            return _plain(value.value, types)
        case PurePath():
            return str(value)
        case BaseModel():
            return [[name, _plain(each, types)] for name, each in value]
        case Mapping():
            found = cast("Mapping[Any, Any]", value)
            return [[_plain(key, types), _plain(each, types)] for key, each in found.items()]
        case set() | frozenset():
            return _in_order(cast("Collection[Any]", value), types)
        case list() | tuple() | deque():
            return [_plain(each, types) for each in cast("list[Any]", value)]
        case Iterator():
            raise TypeError(f"a {types[-1].__name__} can be read once only")
        case _ if is_dataclass(value):
            return [[field.name, _plain(getattr(value, field.name), types)] for field in fields(value)]
        case _:
            return to_jsonable_python(value, inf_nan_mode="constants", bytes_mode="base64")


def _in_order(values: Collection[Any], types: list[type]) -> list[Any]:
    """As equal sets may have their items in different orders."""

    def place(value: Any) -> tuple[str, str]:
        inner: list[type] = []
        return json.dumps(_plain(value, inner)), str(inner)

    return [_plain(each, types) for each in sorted(values, key=place)]
