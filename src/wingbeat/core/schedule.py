"""When a trigger fires by the clock: cron expressions, and intervals that keep their phase.

Its one rule: a slot depends on the schedule and its anchor alone. The anchor is the moment an interval is counted
from; it is kept with the trigger for as long as `encode(schedule)` stays the same, so neither a restart nor a
redeploy moves a slot. Slots are whole seconds in UTC; cron does not look at the anchor.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import islice, takewhile
from typing import assert_never

from wingbeat.core import cron, cron_seconds
from wingbeat.core.cron import Cron, DstGap, DstOverlap
from wingbeat.core.cron_syntax import LONGEST_DURATION, parse_duration, split_zone
from wingbeat.errors import InvalidArgument

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Every:
    """`@every 1h30m`: one period after the anchor, and so on; not aligned to the clock."""

    period: timedelta

    def __post_init__(self) -> None:
        _check_period(self.period)


@dataclass(frozen=True, slots=True)
class FixedRate:
    """Every `period`, counted from `start` if there is one and from the anchor otherwise.

    Without `start` the first slot is one period after the anchor. With it, `start` itself is a slot, and only
    slots after the anchor count: a schedule owes nothing for the time before it was deployed.
    """

    period: timedelta
    start: datetime | None = None

    def __post_init__(self) -> None:
        _check_period(self.period)
        if self.start is not None and (self.start.utcoffset() != timedelta() or self.start.microsecond):
            raise InvalidArgument(f"start of a fixed rate is {self.start}: it must be in UTC and a whole second")


class RateUnit(StrEnum):
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"


Schedule = Cron | Every | FixedRate

_UNITS = {
    RateUnit.MINUTE: timedelta(minutes=1),
    RateUnit.HOUR: timedelta(hours=1),
    RateUnit.DAY: timedelta(days=1),
}


def parse(
    expression: str,
    timezone: str = "",
    *,
    dst_gap: DstGap = DstGap.SKIP,
    dst_overlap: DstOverlap = DstOverlap.BOTH,
) -> Cron | Every:
    """Read all that Flyte calls a cron expression: five fields, a descriptor or `@every <Go duration>`.

    Raises InvalidArgument like `cron.parse`. An interval has no use for the zone, but a wrong one is still an error.
    """
    _, body = split_zone(expression, timezone)
    if body.startswith("@every "):
        return Every(parse_duration(body.removeprefix("@every ")))
    return cron.parse(expression, timezone, dst_gap=dst_gap, dst_overlap=dst_overlap)


def parse_embedded(
    expression: str,
    timezone: str = "",
    *,
    dst_gap: DstGap = DstGap.SKIP,
    dst_overlap: DstOverlap = DstOverlap.BOTH,
) -> Cron | Every:
    """Read what `parse` reads, and six fields with the second first. Raises InvalidArgument."""
    _, body = split_zone(expression, timezone)
    if body.startswith("@every "):
        return Every(parse_duration(body.removeprefix("@every ")))
    return cron_seconds.parse(expression, timezone, dst_gap=dst_gap, dst_overlap=dst_overlap)


def fixed_rate(value: int, unit: RateUnit | None, *, start: datetime | None = None) -> FixedRate:
    """`value` times `unit`, from `start` on (truncated to the second).

    Raises InvalidArgument when there is no unit, or when the period is none or longer than `LONGEST_DURATION`.
    """
    if unit is None:
        raise InvalidArgument(f"fixed rate {value} has no unit: use {', '.join(RateUnit)}")
    most = LONGEST_DURATION // _UNITS[unit]
    if not 1 <= value <= most:
        raise InvalidArgument(f"fixed rate is {value} {unit}s: the value must be from 1 to {most}")
    return FixedRate(value * _UNITS[unit], start and start.replace(microsecond=0))


def next_after(schedule: Schedule, after: datetime, anchor: datetime) -> datetime | None:
    """The first slot strictly after `after`; None when there is none any more."""
    if isinstance(schedule, Cron):
        return schedule.next_after(after)
    origin = _origin(schedule, anchor)
    try:
        return origin + (_steps(schedule, after, anchor, origin) + 1) * schedule.period
    except OverflowError:
        return None


def between(
    schedule: Schedule, after: datetime, until: datetime, anchor: datetime, *, limit: int
) -> tuple[datetime, ...]:
    """The first `limit` slots in (after, until], ascending; at most one more is computed."""
    return tuple(islice(takewhile(lambda slot: slot <= until, _slots(schedule, after, anchor)), limit))


def count_between(schedule: Schedule, after: datetime, until: datetime, anchor: datetime) -> int:
    """How many slots there are in (after, until]; the cost does not grow with their number."""
    if until <= after:
        return 0
    if isinstance(schedule, Cron):
        return schedule.count_between(after, until)
    origin = _origin(schedule, anchor)
    return _steps(schedule, until, anchor, origin) - _steps(schedule, after, anchor, origin)


def last_between(schedule: Schedule, after: datetime, until: datetime, anchor: datetime) -> datetime | None:
    """The last slot in (after, until]; the cost grows with the logarithm of the time between them."""
    last = next_after(schedule, after, anchor)
    if last is None or last > until:
        return None
    following = next_after(schedule, last, anchor)
    if following is None or following > until:
        return last
    last, high = following, until
    while last < high:
        middle = last + (high - last) // 2
        later = next_after(schedule, middle, anchor)
        if later is None or later > until:
            high = middle
        else:
            last = later
    return last


def encode(schedule: Schedule) -> str:
    """Compact JSON. Equal schedules have equal texts: compare these to see whether a redeploy changed one."""
    return json.dumps(_encoded(schedule), separators=(",", ":"))


@lru_cache(4096)
def decode(text: str) -> Schedule:
    """The schedule that `encode` wrote. Raises InvalidArgument for anything else."""
    try:
        return _decoded(json.loads(text))
    except (ValueError, OverflowError) as error:
        raise InvalidArgument(f"schedule {text!r} was not written by encode: {error}") from error


def _decoded(value: object) -> Schedule:
    match value:
        case {"cron": str(expression), "timezone": str(timezone), "dst_gap": str(gap), "dst_overlap": str(overlap)}:
            return cron_seconds.parse(expression, timezone, dst_gap=DstGap(gap), dst_overlap=DstOverlap(overlap))
        case {"every": int(seconds)}:
            return Every(timedelta(seconds=seconds))
        case {"rate": int(seconds), "start": None}:
            return FixedRate(timedelta(seconds=seconds))
        case {"rate": int(seconds), "start": str(start)}:
            return FixedRate(timedelta(seconds=seconds), datetime.fromisoformat(start))
        case _:
            raise ValueError("unknown kind")


def _encoded(schedule: Schedule) -> dict[str, object]:
    match schedule:
        case Cron():
            return {
                "cron": schedule.expression,
                "timezone": schedule.timezone,
                "dst_gap": schedule.dst_gap,
                "dst_overlap": schedule.dst_overlap,
            }
        case Every():
            return {"every": schedule.period // _SECOND}
        case FixedRate():
            start = None if schedule.start is None else schedule.start.isoformat()
            return {"rate": schedule.period // _SECOND, "start": start}
        case _:
            assert_never(schedule)


def _slots(schedule: Schedule, after: datetime, anchor: datetime) -> Iterator[datetime]:
    slot = next_after(schedule, after, anchor)
    while slot is not None:
        yield slot
        slot = _following(schedule, slot)


def _following(schedule: Schedule, slot: datetime) -> datetime | None:
    """The slot after this one."""
    if isinstance(schedule, Cron):
        return schedule.next_after(slot)
    try:
        return slot + schedule.period
    except OverflowError:
        return None


def _origin(schedule: Every | FixedRate, anchor: datetime) -> datetime:
    start = schedule.start if isinstance(schedule, FixedRate) else None
    return start or anchor.replace(microsecond=0)


def _steps(schedule: Every | FixedRate, moment: datetime, anchor: datetime, origin: datetime) -> int:
    """How many periods after the origin the last slot up to `moment` is; before the first slot: one less than that."""
    return max((max(moment, anchor) - origin) // schedule.period, -1)


def _check_period(period: timedelta) -> None:
    if not _SECOND <= period <= LONGEST_DURATION or period % _SECOND:
        raise InvalidArgument(
            f"period is {period}: it must be whole seconds, at least 1 s and at most {LONGEST_DURATION}"
        )
