"""Values of a run as JSON text for those who read its history. What has no JSON is an error, never its `str()`."""

import json
import logging
from typing import Any

from pydantic_core import PydanticSerializationError, to_jsonable_python

from wingbeat.errors import InvalidArgument

_log = logging.getLogger(__name__)


def json_text(value: object) -> str:
    """Raises InvalidArgument, which says what cannot be written."""
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgument(f"a value of {_name(value)} cannot be written as JSON: {error}") from error


def json_default(obj: Any) -> Any:
    """For `json.dumps`: models, dataclasses, dates and the like as their JSON. Raises TypeError for others."""
    try:
        return to_jsonable_python(obj, bytes_mode="base64")
    except (PydanticSerializationError, ValueError) as error:
        raise TypeError(f"{_name(obj)} has no JSON") from error


_ENCODER = json.JSONEncoder(default=json_default, allow_nan=False)


def safe_json_dumps(obj: Any) -> str:
    """Never raises: a value without JSON becomes `{"unserializable": its type}`, with a warning."""
    try:
        return json_text(obj)
    except InvalidArgument as error:
        _log.warning("a value is not in the history: %s", error)
        return json.dumps({"unserializable": _name(obj)})


def _name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
