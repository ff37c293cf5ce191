"""The text of cron expressions: which five sets of numbers the fields name.

Its one rule: it accepts exactly what robfig/cron's standard parser accepts, odd corners included, and says which
field is wrong otherwise. The one exception is the zone `Local`: a server's own zone is nobody's business.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from wingbeat.core.zones import check_zone
from wingbeat.errors import InvalidArgument

LONGEST_DURATION = timedelta(seconds=(2**63 - 1) // 10**9)
"""What Go's time.Duration can hold, in whole seconds: about 292 years."""


class Fields(NamedTuple):
    """Bit n of a set is the number n."""

    minutes: int
    hours: int
    days: int
    months: int
    weekdays: int
    either_day: bool
    """Whether a day of the month or a weekday is enough: both are restricted."""


def split_zone(expression: str, timezone: str = "") -> tuple[str, str]:
    """The zone (of the prefix `CRON_TZ=` or `TZ=`, of `timezone`, or UTC) and the rest of the expression.

    Raises InvalidArgument when both say it, when the zone is unknown, or when nothing follows the prefix.
    """
    if not expression.startswith(("TZ=", "CRON_TZ=")):
        return (check_zone(timezone), expression.strip()) if timezone else ("UTC", expression)
    if timezone:
        raise InvalidArgument(
            f"cron expression {expression!r} names a time zone, and so does timezone {timezone!r}: use one of them"
        )
    prefix, space, body = expression.partition(" ")
    if not space:
        raise InvalidArgument(f"cron expression {expression!r} must have a space and its fields after its zone")
    return check_zone(prefix.partition("=")[2] or "UTC"), body.strip()


def parse_fields(body: str) -> Fields:
    """Read five fields or a descriptor such as `@daily`. Raises InvalidArgument."""
    if body.startswith("@"):
        if body not in _DESCRIPTORS:
            known = ", ".join(_DESCRIPTORS)
            raise InvalidArgument(f"cron descriptor {body!r} is unknown: use {known} or '@every 1h30m'")
        body = _DESCRIPTORS[body]
    texts = body.split()
    if len(texts) != len(_FIELDS):
        raise InvalidArgument(
            f"cron expression {body!r} has {len(texts)} fields and must have five: "
            "minute, hour, day of month, month, day of week"
        )
    sets = [unit.parse(text) for unit, text in zip(_FIELDS, texts, strict=True)]
    days, weekdays = sets[2], sets[4]
    return Fields(*(numbers for numbers, _ in sets), either_day=not (days.star or weekdays.star))


def parse_seconds(text: str) -> int:
    """The set that the first of six fields names. Raises InvalidArgument."""
    return _SECONDS.parse(text).numbers


def parse_duration(text: str) -> timedelta:
    """Read the duration of an `@every`, in Go's syntax: truncated to seconds, and 1 s when it is less.

    Raises InvalidArgument, also when it is longer than `LONGEST_DURATION`.
    """
    length = duration(text)
    if length is None:
        raise InvalidArgument(f"'@every {text}' has no duration: use hours, minutes and seconds such as 1h30m10s")
    if abs(length) > LONGEST_DURATION:
        raise InvalidArgument(f"'@every {text}' is too long: use at most {LONGEST_DURATION.days} days, in hours")
    return max(length, timedelta(seconds=1))


def duration(text: str) -> timedelta | None:
    """Read Go's syntax of durations, truncated to seconds; None when it is none.

    One that Go could not hold becomes a second longer than `LONGEST_DURATION`.
    """
    sign, body = (-1 if text.startswith("-") else 1), text[1:] if text.startswith(("+", "-")) else text
    if body != "0" and not _DURATION.fullmatch(body):
        return None
    nanoseconds = sum(
        int(whole + fraction) * _NANOSECONDS[unit] // 10 ** len(fraction)
        for whole, fraction, unit in _DURATION_PART.findall(body)
    )
    return sign * timedelta(seconds=min(nanoseconds // _NANOSECONDS["s"], LONGEST_DURATION // timedelta(seconds=1) + 1))


class _Set(NamedTuple):
    numbers: int
    star: bool


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: Mapping[str, int] = field(default_factory=dict[str, int])

    def parse(self, text: str) -> _Set:
        """A comma list; empty items are skipped, and a list of nothing but commas is the empty set."""
        items = [self._item(item, text) for item in text.split(",") if item]
        numbers = 0
        for item in items:
            numbers |= item.numbers
        return _Set(numbers, any(item.star for item in items))

    def _item(self, item: str, text: str) -> _Set:
        span, *steps = item.split("/")
        low, *highs = span.split("-")
        star = low in {"*", "?"}
        if len(steps) > 1 or (len(highs) > 1 and not star):
            raise self._error(text, f"{item!r} has too many {'slashes' if len(steps) > 1 else 'hyphens'}")
        step = self._number(steps[0], text) if steps else 1
        if step == 0:
            raise self._error(text, f"the step of {item!r} is 0")
        if star:
            # What follows the star's hyphen is not looked at: robfig/cron accepts "*-5" and reads "*".
            return _Set(_bits(self.low, self.high, step), step == 1)
        first = self._value(low, text)
        last = self._value(highs[0], text) if highs else self.high if steps else first
        if first < self.low or last > self.high:
            sunday = " (Sunday is 0)" if self.names is _SUNDAY_FIRST and last == _SUNDAY_OF_OTHERS else ""
            raise self._error(text, f"{item!r} is out of range{sunday}")
        if first > last:
            raise self._error(text, f"the range {item!r} ends before it begins")
        return _Set(_bits(first, last, step), star=False)

    def _value(self, value: str, text: str) -> int:
        named = self.names.get(value.lower())
        return self._number(value, text) if named is None else named

    def _number(self, value: str, text: str) -> int:
        if not _NUMBER.fullmatch(value):
            raise self._error(text, f"{value!r} is not a number" + (" or a name" if self.names else ""))
        return int(value)

    def _error(self, text: str, problem: str) -> InvalidArgument:
        names = f" (or {', '.join(self.names)})" if self.names else ""
        return InvalidArgument(
            f"cron field {self.name!r} is {text!r}, and {problem}: use numbers from {self.low} to {self.high}{names}, "
            "alone or as lists, ranges and steps such as '1,4', '1-4', '*/2'"
        )


def _bits(first: int, last: int, step: int) -> int:
    return sum(1 << number for number in range(first, last + 1, step))


def _numbered(names: Iterable[str], start: int) -> dict[str, int]:
    return {name: number for number, name in enumerate(names, start)}


_NUMBER = re.compile(r"\+?[0-9]{1,18}")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_SUNDAY_FIRST = _numbered(_WEEKDAYS, 0)
_SUNDAY_OF_OTHERS = 7
_SECONDS = _Field("second", 0, 59)
_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _numbered(_MONTHS, 1)),
    _Field("day of week", 0, 6, _SUNDAY_FIRST),
)
_DESCRIPTORS: Mapping[str, str] = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,  # U+00B5, micro sign
    "μs": 10**3,  # U+03BC, Greek letter mu
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_DURATION_PART = re.compile(rf"(?=\.?[0-9])([0-9]{{0,19}})(?:\.([0-9]{{0,19}}))?({'|'.join(_NANOSECONDS)})")
_DURATION = re.compile(f"(?:{_DURATION_PART.pattern})+")
