"""Values that nobody declared a type for, as JSON that says the types which JSON does not know.

`{"__type__": "set", "value": [...]}`: standard types by their names, models, dataclasses and enumerations by where
they are imported from. Nothing is imported, and nothing else called, because a text says so.
"""

import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path, PosixPath, WindowsPath
from typing import Any, cast
from uuid import UUID

from pydantic import BaseModel, TypeAdapter

from wingbeat.compose.callables import importable
from wingbeat.compose.refs import GlobalRef

TYPE, VALUE = "__type__", "value"
_AS_IT_IS = "any"
_ITEMS: Mapping[str, Callable[[list[Any]], Any]] = {"tuple": tuple, "set": set, "frozenset": frozenset, "dict": dict}
"""Types that are made of a list of their items; a dict of pairs."""
_SCALARS = {each.__name__: each for each in (bytes, datetime, date, time, timedelta, Decimal, UUID, float)}
_PATHS = {each.__name__: each for each in (PosixPath, WindowsPath, Path)}


def tagged(value: Any) -> Any:
    """Plain data that `untagged` makes the value of. Raises TypeError for a type that is not known."""
    kind = cast("type[Any]", type(value))
    if value is None or kind in (bool, int, str) or (kind is float and math.isfinite(value)):
        return value
    if kind is list:
        return [tagged(each) for each in cast("list[Any]", value)]
    if kind is dict and TYPE not in value and all(type(key) is str for key in cast("dict[Any, Any]", value)):
        return {key: tagged(each) for key, each in cast("dict[str, Any]", value).items()}
    if kind is dict:
        return _tag("dict", [[tagged(key), tagged(each)] for key, each in cast("dict[Any, Any]", value).items()])
    if kind.__name__ in _ITEMS and kind.__module__ == "builtins":
        items = [tagged(each) for each in value]
        return _tag(kind.__name__, items if kind is tuple else sorted(items, key=json.dumps))
    if _SCALARS.get(kind.__name__) is kind:
        return _tag(kind.__name__, _adapter(kind).dump_python(value, mode="json") if kind is not float else str(value))
    if kind.__name__ in _PATHS and isinstance(value, Path):
        return _tag("Path", str(value))
    if _is_declared(kind) and importable(kind):
        return _tag(str(GlobalRef(kind)), _adapter(kind).dump_python(value, mode="json"))
    raise TypeError(f"a {kind.__module__}.{kind.__qualname__} has no JSON")


def tagged_as_it_is(value: Any) -> Any:
    """With a tag in any case: for a value that is not of the type which was declared for it."""
    return _tag(_AS_IT_IS, tagged(value))


def untagged(data: Any) -> Any:
    """The value that was tagged. Raises ValueError for a type that is not known."""
    if isinstance(data, list):
        return [untagged(each) for each in cast("list[Any]", data)]
    if not isinstance(data, dict):
        return data
    found = cast("dict[str, Any]", data)
    if found.keys() != {TYPE, VALUE}:
        return {key: untagged(each) for key, each in found.items()}
    name, value = str(found[TYPE]), found[VALUE]
    if name == _AS_IT_IS:
        return untagged(value)
    if name in _ITEMS:
        return _ITEMS[name](untagged(value))
    if name == "Path":
        return Path(value)
    return _adapter(_SCALARS.get(name) or _declared(name)).validate_python(value)


def _tag(name: str, value: Any) -> dict[str, Any]:
    return {TYPE: name, VALUE: value}


def _declared(name: str) -> Any:
    """A class of this program, from a module that it has imported itself."""
    module, _, leaf = name.partition(":")
    kind = getattr(sys.modules.get(module), leaf, None)
    if not _is_declared(kind):
        raise ValueError(f"{name!r} is no model, dataclass or enumeration of a module that is imported here")
    return kind


def _is_declared(kind: object) -> bool:
    if not isinstance(kind, type):
        return False
    declared = cast("type[object]", kind)
    return issubclass(declared, BaseModel | Enum) or is_dataclass(declared)


def _adapter(kind: Any) -> TypeAdapter[Any]:
    if kind is bytes:
        return TypeAdapter(bytes, config={"ser_json_bytes": "base64", "val_json_bytes": "base64"})
    return TypeAdapter(kind)
