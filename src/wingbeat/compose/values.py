"""Values of a run as JSON text and back, by the type that was declared for them.

Its one rule: what is written is read back as the same value of the same type, or it is an error when it is written.
"""

import json
import math
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any, cast

from pydantic import ConfigDict, PydanticUserError, TypeAdapter
from pydantic_core import PydanticSerializationError, to_jsonable_python

from wingbeat.compose.tagged import TYPE, tagged, tagged_as_it_is, untagged
from wingbeat.compose.type_fit import is_known

_NUMBERS_THAT_JSON_LACKS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_ENCODER = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))
_UNWRITABLE = (TypeError, ValueError, RecursionError, PydanticSerializationError, PydanticUserError)


class UnstorableValue(ValueError):
    """A value that cannot be written so that the same value is read back."""


class Codec:
    """Writes and reads values that are annotated so. What the annotation does not say, the text does.

    A type that pydantic does not know becomes storable by its annotation, with pydantic's serializer and validator.
    """

    __slots__ = ("_adapter", "_annotation")

    def __init__(self, annotation: Any = None) -> None:
        self._annotation = annotation
        self._adapter = _adapter(annotation)

    @property
    def storable(self) -> bool:
        """False when nothing of the declared type could ever be written."""
        return self._adapter is not None or not is_known(self._annotation)

    def encode(self, value: Any) -> str:
        """Raises UnstorableValue, which says what can be done."""
        for text in self._texts(value):
            with suppress(*_UNWRITABLE):
                if _is_same(self.decode(text), value):
                    return text
        raise UnstorableValue(
            f"a {type(value).__module__}.{type(value).__qualname__}, declared as {_type_text(self._annotation)}, "
            "cannot be written as JSON and read back as the same: declare its exact type, such as a pydantic model, "
            "a dataclass or a standard type, or one with a serializer and a validator of pydantic in Annotated[...]"
        )

    def decode(self, text: str) -> Any:
        """What was encoded. Raises ValueError for a text that is no JSON, or not of the declared type (any more)."""
        if TYPE in text:
            return untagged(json.loads(text))
        return json.loads(text) if self._adapter is None else self._adapter.validate_json(text)

    def _texts(self, value: Any) -> Iterator[str]:
        """Ways to write it, the best first. What is not of the declared type says so."""
        ways = (_plain, _tagged) if self._adapter is None else (partial(_typed, self._adapter), _unlike)
        for way in ways:
            with suppress(*_UNWRITABLE):
                yield way(value)


def _typed(adapter: TypeAdapter[Any], value: Any) -> str:
    dumped = adapter.dump_python(value, mode="json", warnings=False)
    try:
        return _plain(dumped)
    except ValueError:
        return _plain(_spelled(dumped))


def _is_same(restored: Any, value: Any) -> bool:
    """By equality, and by contents for what has none and for NaN, which equals nothing."""
    if not _is_of_type(restored, value):
        return False
    return bool(restored == value) or _contents(restored) == _contents(value)


def _is_of_type(restored: Any, value: Any) -> bool:
    """An int that was declared as a float or a bool may come back as one; containers are compared with their items.

    Sets are equal or not: of what may be in one, only NaN equals nothing.
    """
    if type(restored) is not type(value):
        return type(value) is int and type(restored) in (float, bool)
    if isinstance(value, dict):
        pairs = zip(cast("dict[Any, Any]", restored).items(), cast("dict[Any, Any]", value).items(), strict=False)
        return all(
            _is_of_type(*keys) and _is_of_type(*values) for keys, values in (zip(*pair, strict=True) for pair in pairs)
        )
    if isinstance(value, list | tuple):
        return all(map(_is_of_type, cast("list[Any]", restored), cast("list[Any]", value)))
    if isinstance(value, set | frozenset):
        items = cast("set[Any]", value)
        return bool(restored == value) or all(isinstance(each, float) for each in {*items, *restored})
    return True


def _contents(value: Any) -> str:
    return repr(to_jsonable_python(value, inf_nan_mode="constants", bytes_mode="base64"))


def _adapter(annotation: Any) -> TypeAdapter[Any] | None:
    if not is_known(annotation):
        return None
    for config in (ConfigDict(ser_json_bytes="base64", val_json_bytes="base64"), None):
        with suppress(PydanticUserError, TypeError, NameError, AttributeError):
            return TypeAdapter(annotation, config=config)
    return None


def _plain(value: Any) -> str:
    return _ENCODER.encode(value)


def _tagged(value: Any) -> str:
    return _plain(tagged(value))


def _unlike(value: Any) -> str:
    return _plain(tagged_as_it_is(value))


def _spelled(value: Any) -> Any:
    """Numbers that JSON lacks as the words that pydantic reads as numbers."""
    if isinstance(value, float) and not math.isfinite(value):
        return next(word for word, number in _NUMBERS_THAT_JSON_LACKS.items() if repr(number) == repr(value))
    if isinstance(value, dict):
        return {key: _spelled(each) for key, each in cast("dict[Any, Any]", value).items()}
    return [_spelled(each) for each in cast("list[Any]", value)] if isinstance(value, list) else value


def _type_text(annotation: Any) -> str:
    return "nothing" if annotation is None else str(getattr(annotation, "__name__", annotation))
