"""What runs of triggers get, as JSON text and back.

Its one rule: what is read is what was written, of the same type; where that cannot be, reading says so. An event has a
value as the codec of its parameter writes it. A definition is kept where no parameters are known: its values say their
types themselves.
"""

import json
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from wingbeat.compose.firing.answers import TriggerTime
from wingbeat.compose.tagged import TYPE, VALUE
from wingbeat.compose.values import Codec, UnstorableValue
from wingbeat.store.compose.texts import storable

Codecs = Mapping[str, Codec]
"""Of parameters, by their names."""
_ANY = Codec()
_TIME = {TYPE: TriggerTime.__name__, VALUE: None}
_UNWRITTEN = "unwritten"
_log = logging.getLogger("wingbeat.compose.trigger")


class NotWritten(ValueError):
    """A value that only the program has which brought it."""


def event_text(values: Mapping[str, Any], codecs: Codecs, *, slot: datetime | None) -> str:
    """`TriggerTime` is the slot. What cannot be written leaves its type, and a warning."""
    texts = {
        name: _text(name, slot if value is TriggerTime else value, codecs.get(name, _ANY))
        for name, value in values.items()
    }
    return storable("{" + ", ".join(f"{json.dumps(name)}: {text}" for name, text in texts.items()) + "}")


def event_values(text: str, codecs: Codecs) -> dict[str, Any]:
    """Raises ValueError, which names the parameter, for what was not written, or is of another type by now."""
    return {name: _value(name, data, codecs.get(name, _ANY)) for name, data in json.loads(text).items()}


def definition_data(values: Mapping[str, Any]) -> dict[str, Any]:
    """Plain data that `definition_values` makes the values of, where they can be written."""
    return {
        name: _TIME if value is TriggerTime else json.loads(_written(value, _ANY) or _unwritten(value))
        for name, value in values.items()
    }


def definition_values(data: Mapping[str, Any]) -> dict[str, Any]:
    """Raises ValueError, which names the parameter, for what was not written, or is of a class that is not here."""
    return {name: TriggerTime if each == _TIME else _value(name, each, _ANY) for name, each in data.items()}


def check_storable(trigger: str, values: Mapping[str, Any], codecs: Codecs) -> None:
    """Raise ValueError for a value that a retry or another process could not be given."""
    for name, value in values.items():
        try:
            if value is not TriggerTime:
                codecs.get(name, _ANY).encode(value)
        except UnstorableValue as error:
            raise UnstorableValue(f"trigger {trigger!r}, parameter {name!r}: {error}") from error


def _text(name: str, value: Any, codec: Codec) -> str:
    if (text := _written(value, codec)) is not None:
        return text
    _log.warning("parameter %r is not kept: a %s cannot be written as JSON", name, _type_name(value))
    return _unwritten(value)


def _written(value: Any, codec: Codec) -> str | None:
    try:
        return codec.encode(value)
    except UnstorableValue:
        return None


def _unwritten(value: Any) -> str:
    return json.dumps({TYPE: _UNWRITTEN, VALUE: _type_name(value)})


def _value(name: str, data: Any, codec: Codec) -> Any:
    if isinstance(data, dict) and cast("dict[str, Any]", data).get(TYPE) == _UNWRITTEN:
        raise NotWritten(f"parameter {name!r} is a {data[VALUE]}, which only the program has that brought it")
    try:
        return codec.decode(json.dumps(data))
    except ValueError as error:
        raise ValueError(f"parameter {name!r}: {error}") from error


def _type_name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
