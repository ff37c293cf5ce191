"""What a legal key is. Every key from outside passes `checked`; no other file looks for dots and slashes."""

import unicodedata

from wingbeat.errors import InvalidArgument

MAX_KEY_BYTES = 1024
"""S3's own limit, in UTF-8."""
MAX_SEGMENT_BYTES = 255
"""The longest file name of the usual file systems, in UTF-8."""


def checked(key: str) -> str:
    """Return `key` as it is; raise InvalidArgument unless it names a blob in every backend.

    Segments are separated by single slashes; none is empty, "." or "..", and none holds a control character.
    """
    fault = _fault(key)
    if fault:
        raise InvalidArgument(f"blob key {_shortened(key)} {fault}")
    return key


def is_legal(key: str) -> bool:
    return not _fault(key)


def joined(*parts: str) -> str:
    """The key of `parts` below one another; empty parts are left out, the others must be legal keys."""
    return checked("/".join(checked(part) for part in parts if part))


def _fault(key: str) -> str:
    if not key:
        return "is empty"
    if any(unicodedata.category(character) in {"Cc", "Cs"} or character in "\ufffe\uffff" for character in key):
        return "has a character that no blob key may have"
    if len(key.encode()) > MAX_KEY_BYTES:
        return f"is longer than {MAX_KEY_BYTES} bytes"
    return next((fault for segment in key.split("/") if (fault := _segment_fault(segment))), "")


def _segment_fault(segment: str) -> str:
    if not segment:
        return "has an empty segment: it must not begin or end with '/' or have '//'"
    if segment in {".", ".."}:
        return f"has the segment {segment!r}"
    if len(segment.encode()) > MAX_SEGMENT_BYTES:
        return f"has a segment of more than {MAX_SEGMENT_BYTES} bytes"
    return ""


def _shortened(key: str) -> str:
    return repr(key) if len(key) <= 100 else f"{key[:100]!r}..."
