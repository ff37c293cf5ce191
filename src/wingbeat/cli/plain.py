"""Results in words and as JSON, with nothing but the standard library: every installation has these."""

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, cast

_MINUTE, _HOUR = 60, 3600
_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], " ") | {
    ord(each): each for each in "\n\t"
}
"""What moves a terminal's cursor, or the direction of what is read there."""


def say(text: str) -> None:
    """On standard output, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def printable(text: str) -> str:
    """What a task or a caller has written, for a terminal: it says something there and does nothing."""
    return text.translate(_CONTROLS)


def json_text(document: object) -> str:
    """`document` is a dataclass: an object of its fields. Moments become RFC 3339 in UTC."""
    content = asdict(cast("Any", document))
    return json.dumps(content, indent=2, ensure_ascii=False, default=_rfc3339)


def moment(at: datetime | None) -> str:
    """In the time zone of whoever reads it."""
    return "" if at is None else f"{at.astimezone():%Y-%m-%d %H:%M:%S}"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < _MINUTE:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE}m{whole % _MINUTE:02}s"
    return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02}m"


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
