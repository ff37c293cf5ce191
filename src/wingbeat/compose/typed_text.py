"""Text that people type, as the value that an annotation asks for."""

import json
from typing import Any

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from wingbeat.compose.type_fit import is_known


def typed(text: str, annotation: Any) -> Any:
    """As it is written (`5`, `yes`, `2026-03-01`), or as JSON. What is not annotated is JSON if it can be, else text.

    Raises ValueError (also pydantic's) for a text that is no such value, and for types that no text can stand for.
    """
    if not is_known(annotation):
        return _json_or_text(text)
    adapter = _adapter(annotation)
    try:
        return adapter.validate_strings(text)
    except ValidationError as as_written:
        try:
            return adapter.validate_json(text)
        except ValidationError as as_json:
            raise (as_written if _is_no_json(as_json) else as_json) from None


def typed_json(value: Any, annotation: Any) -> Any:
    """What was read from JSON. Raises like `typed`."""
    return _adapter(annotation).validate_json(json.dumps(value)) if is_known(annotation) else value


def _adapter(annotation: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(annotation)
    except PydanticUserError as error:
        name = getattr(annotation, "__qualname__", annotation)
        raise ValueError(f"a value of type {name} cannot be written as text") from error


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _is_no_json(error: ValidationError) -> bool:
    return any(each["type"] == "json_invalid" for each in error.errors())
