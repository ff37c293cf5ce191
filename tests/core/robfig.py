"""The search of Go's robfig/cron, version 3, told again in Python: an oracle for tests, with the original's mistakes.

Its one rule: it moves as the original moves, field by field, so that it errs where the original errs. It shares the
reading of expressions with `wingbeat.core.cron`, and nothing of the search.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from wingbeat.core.cron_syntax import Fields

SEARCH_YEARS = 5
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def next_after(fields: Fields, after: datetime, zone: ZoneInfo) -> datetime | None:
    """What robfig/cron answers when asked at `after`; None when the search leaves the next five years.

    A field that does not match is stepped until it does. A step that carries over has changed the fields above, so
    the search begins again with the months; they are not looked at again otherwise, and that is where it goes astray.
    """
    at = later(after.replace(microsecond=0).astimezone(zone), SECOND)
    last_year = at.year + SEARCH_YEARS
    level, moved = 0, False
    while level < len(UNITS):
        unit = UNITS[level]
        if unit.matches(fields, at):
            level += 1
            continue
        at = unit.step(at if moved else unit.opening(at))
        moved = True
        if unit.carried(at):
            if at.year > last_year:
                return None
            level = 0
    return at.astimezone(UTC)


def on_clock(wall: datetime) -> datetime:
    """The one moment that Go's time.Date takes for a time of the wall clock, which may occur twice or not at all.

    It looks up the offset as if the wall clock showed UTC, and once more at the moment that this offset leads to.
    """
    read = at = wall.replace(tzinfo=UTC, fold=0)
    for _ in range(2):
        at = read - (at.astimezone(wall.tzinfo).utcoffset() or timedelta())
    return at.astimezone(wall.tzinfo)


def later(at: datetime, span: timedelta) -> datetime:
    """`at` plus a span of time that passes; the sum of aware datetimes would be one of the wall clock."""
    return (at.astimezone(UTC) + span).astimezone(at.tzinfo)


def day_opening(at: datetime) -> datetime:
    return on_clock(at.replace(hour=0, minute=0, second=0))


def month_later(at: datetime) -> datetime:
    following = (at.replace(day=1) + 31 * DAY).replace(day=1)
    return on_clock(following + (at.day - 1) * DAY)


def day_later(at: datetime) -> datetime:
    """The same time on the following day and, where that is not midnight, whole hours earlier or later.

    It allows for a midnight that is left out, but an hour before 01:00 is then 23:00 of the day before.
    """
    following = on_clock(at + DAY)
    return later(following, (24 - following.hour if following.hour > 12 else -following.hour) * HOUR)


def day_matches(fields: Fields, at: datetime) -> bool:
    day, weekday = fields.days >> at.day & 1, fields.weekdays >> at.isoweekday() % 7 & 1
    return bool(day | weekday if fields.either_day else day & weekday)


@dataclass(frozen=True, slots=True)
class Unit:
    matches: Callable[[Fields, datetime], bool]
    opening: Callable[[datetime], datetime]
    """Where the search goes before its very first step: the start of the unit."""
    step: Callable[[datetime], datetime]
    carried: Callable[[datetime], bool]
    """Whether a step has come to the first value of the unit, so that those above it may have changed."""


UNITS: tuple[Unit, ...] = (
    Unit(
        matches=lambda fields, at: bool(fields.months >> at.month & 1),
        opening=lambda at: day_opening(at.replace(day=1)),
        step=month_later,
        carried=lambda at: at.month == 1,
    ),
    Unit(matches=day_matches, opening=day_opening, step=day_later, carried=lambda at: at.day == 1),
    Unit(
        matches=lambda fields, at: bool(fields.hours >> at.hour & 1),
        opening=lambda at: on_clock(at.replace(minute=0, second=0)),
        step=lambda at: later(at, HOUR),
        carried=lambda at: at.hour == 0,
    ),
    Unit(
        matches=lambda fields, at: bool(fields.minutes >> at.minute & 1),
        opening=lambda at: later(at, -at.second * SECOND),
        step=lambda at: later(at, MINUTE),
        carried=lambda at: at.minute == 0,
    ),
    Unit(
        matches=lambda _, at: at.second == 0,
        opening=lambda at: at,
        step=lambda at: later(at, (60 - at.second) * SECOND),
        carried=lambda _: True,
    ),
)
