"""Cron expressions, with the syntax and the rules of Go's robfig/cron, which Flyte uses.

Its one rule: within a stretch of constant UTC offset a fire is a match of the wall clock, to the whole minute;
what happens where two stretches meet is said by `DstGap` and `DstOverlap`. So the fires are a set of moments, whenever
one asks; robfig/cron's search is not always that consistent (docs/adr/0006-cron-is-a-set-of-moments.md).
"""

from calendar import monthrange
from dataclasses import dataclass, field
from datetime import MAXYEAR, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache

from wingbeat.core.cron_syntax import Fields, parse_fields, split_zone
from wingbeat.core.zones import EARLIEST, EPOCH, LATEST, Stretch, stretch_at, stretches_between, tzdata_version

__all__ = ["Cron", "DstGap", "DstOverlap", "parse", "tzdata_version"]

SEARCH_YEARS = 5
"""A schedule that does not fire in this year or one of the following five never fires."""

_SECOND = timedelta(seconds=1)
_MINUTES_A_DAY = 24 * 60
_DAY = _MINUTES_A_DAY * 60
_EPOCH_ORDINAL = EPOCH.toordinal()
_EPOCH_WEEKDAY = EPOCH.isoweekday() % 7
_LONGEST = (0, *(monthrange(2000, month)[1] for month in range(1, 13)))
"""The most days that a month, by its number, can have."""


class DstGap(StrEnum):
    """What becomes of wall-clock times that a forward change of the clock leaves out."""

    SKIP = "skip"
    """They do not fire that day."""
    NEXT = "next"
    """They fire together, at the first moment after the gap."""
    SHIFT = "shift"
    """They fire as if the clock had not been changed: 02:30 at 03:30."""


class DstOverlap(StrEnum):
    """What becomes of wall-clock times that occur twice after a backward change of the clock."""

    BOTH = "both"
    """They fire twice."""
    FIRST = "first"
    """They fire when they occur first; even `* * * * *` then pauses while the clock repeats itself."""
    LAST = "last"
    """They fire when they occur last; even `* * * * *` then pauses before the clock repeats itself."""


# Looking a member up on its enum costs more than the comparison, and this is done for every fire.
_SKIP, _BOTH = DstGap.SKIP, DstOverlap.BOTH


def parse(
    expression: str,
    timezone: str = "",
    *,
    dst_gap: DstGap = DstGap.SKIP,
    dst_overlap: DstOverlap = DstOverlap.BOTH,
) -> "Cron":
    """Read a cron expression; the result is cached.

    `timezone` is an IANA name and means what a prefix `CRON_TZ=` or `TZ=` of the expression means; without either
    it is UTC, whatever the host's zone. Raises InvalidArgument that names the bad field, also for `@every`,
    which is no cron expression (`schedule.parse` reads both).
    """
    return _parse(expression, timezone, dst_gap, dst_overlap)


@dataclass(frozen=True, slots=True)
class Cron:
    """A parsed cron expression; made by `parse`."""

    expression: str
    """Five fields with one space between them, or a descriptor; without the zone."""
    timezone: str
    dst_gap: DstGap
    dst_overlap: DstOverlap
    _minutes: int = field(repr=False, compare=False)
    """Bit n is minute n; likewise the hours, and the months with January as bit 1."""
    _hours: int = field(repr=False, compare=False)
    _months: int = field(repr=False, compare=False)
    """0 when nothing ever matches: months that cannot contain a matching day are left out."""
    _days: tuple[int, ...] = field(repr=False, compare=False)
    """By the weekday of the first of a month (Sunday is 0): bit n is set when its day n + 1 matches."""
    _opening: int = field(repr=False, compare=False)
    """The first matching minute of a matching day."""

    @property
    def fires(self) -> bool:
        """False for a date that never comes, such as the 30th of February."""
        return bool(self._months)

    def next_after(self, moment: datetime) -> datetime | None:
        """The first fire strictly after `moment`, in UTC; None when there is none within `SEARCH_YEARS`."""
        since = moment - EPOCH
        lo = since.days * _DAY + since.seconds + 1
        if not self._months or lo >= LATEST:
            return None
        if lo < EARLIEST:
            lo = EARLIEST
        stretch = stretch_at(self.timezone, lo)
        fire = self._first_in(stretch, lo)
        if fire is None:
            fire = self._first_beyond(stretch, lo)
        return None if fire is None else EPOCH + timedelta(0, fire)

    def count_between(self, after: datetime, until: datetime) -> int:
        """How many fires there are in (after, until]; days and hours are counted without visiting each fire."""
        start = max((after - EPOCH) // _SECOND + 1, EARLIEST)
        end = min((until - EPOCH) // _SECOND + 1, LATEST)
        return sum(
            self._count_in(stretch, max(start, stretch.start), min(end, stretch.end))
            for stretch in stretches_between(self.timezone, start, end)
        )

    def _first_in(self, stretch: Stretch, lo: int) -> int | None:
        """The first fire in [lo, stretch.end)."""
        if self.dst_gap is _SKIP and self.dst_overlap is _BOTH:
            wall = self._first_wall(lo + stretch.offset, stretch.end + stretch.offset)
            return None if wall is None else wall - stretch.offset
        wall = self._first_wall(*self._walls(stretch, lo, stretch.end))
        fire = None if wall is None else wall - stretch.offset
        if self.dst_gap is _SKIP or stretch.before >= stretch.offset:
            return fire
        late = self._first_of_gap(stretch, lo)
        return min((at for at in (fire, late) if at is not None), default=None)

    def _first_beyond(self, stretch: Stretch, lo: int) -> int | None:
        """The first fire at or after stretch.end, when the search began at `lo` in `stretch`."""
        year = date.fromordinal((lo + stretch.offset) // _DAY + _EPOCH_ORDINAL).year
        horizon = (date(min(year + SEARCH_YEARS + 1, MAXYEAR), 1, 1).toordinal() - _EPOCH_ORDINAL) * _DAY
        while stretch.end < LATEST:
            stretch = stretch_at(self.timezone, stretch.end)
            fire = self._first_in(stretch, stretch.start)
            if fire is not None and fire + stretch.offset < horizon:
                return fire
            if stretch.end + stretch.offset >= horizon:
                return None
        return None

    def _walls(self, stretch: Stretch, lo: int, hi: int) -> tuple[int, int]:
        """The wall-clock range of the moments in [lo, hi) of `stretch`, without what fires in its neighbour."""
        wall_lo, wall_hi = lo + stretch.offset, hi + stretch.offset
        if self.dst_overlap is DstOverlap.FIRST:
            wall_lo = max(wall_lo, stretch.start + stretch.before)
        elif self.dst_overlap is DstOverlap.LAST:
            wall_hi = min(wall_hi, stretch.end + stretch.after)
        return wall_lo, wall_hi

    def _first_of_gap(self, stretch: Stretch, lo: int) -> int | None:
        """The first fire in [lo, stretch.end) that stands for a time left out just before `stretch`."""
        gap_end = stretch.start + stretch.offset
        if self.dst_gap is DstGap.SHIFT:
            wall = self._first_wall(lo + stretch.before, gap_end)
            return None if wall is None else wall - stretch.before
        if lo > stretch.start:
            return None
        wall = self._first_wall(stretch.start + stretch.before, gap_end)
        return None if wall is None else stretch.start

    def _first_wall(self, lo: int, hi: int) -> int | None:
        """The first matching wall-clock time in [lo, hi)."""
        day, minute = divmod(-(-lo // 60), _MINUTES_A_DAY)
        at = self._first_minute(minute) if self._matches(day) else None
        if at is None:
            later = self._first_day(day + 1, hi // _DAY)
            if later is None:
                return None
            day, at = later, self._opening
        wall = (day * _MINUTES_A_DAY + at) * 60
        return wall if wall < hi else None

    def _matches(self, day: int) -> bool:
        month, first, _ = _month_of(day)
        return bool(self._months >> month & self._days[(first + _EPOCH_WEEKDAY) % 7] >> day - first & 1)

    def _first_minute(self, minute: int) -> int | None:
        """The first matching minute of a matching day, from its `minute` on."""
        hour, within = divmod(minute, 60)
        if self._hours >> hour & 1:
            minutes = self._minutes >> within
            if minutes:
                return minute + _lowest(minutes)
        hours = self._hours >> hour + 1
        return (hour + 1 + _lowest(hours)) * 60 + _lowest(self._minutes) if hours else None

    def _first_day(self, day: int, last: int) -> int | None:
        """The first matching day in [day, last], as days since 1970."""
        while day <= last:
            month, first, following = _month_of(day)
            days = self._days_in(month, first, following) >> day - first
            if days:
                return day + _lowest(days)
            day = following
        return None

    def _days_in(self, month: int, first: int, following: int) -> int:
        """The matching days of the `month` that begins on day `first`; bit 0 is that day."""
        if not self._months >> month & 1:
            return 0
        return self._days[(first + _EPOCH_WEEKDAY) % 7] & (1 << following - first) - 1

    def _count_in(self, stretch: Stretch, lo: int, hi: int) -> int:
        """How many fires there are in [lo, hi), which is part of `stretch`."""
        count = 0
        if self.dst_gap is not _SKIP:
            # Fires that stand for left out times may coincide with others, so here each is visited.
            seam = min(hi, stretch.start + stretch.offset - stretch.before)
            while lo < seam:
                fire = self._first_in(stretch, lo)
                count += fire is not None and fire < seam
                lo = seam if fire is None else min(fire + 1, seam)
        return count + self._count_walls(*self._walls(stretch, lo, hi))

    def _count_walls(self, lo: int, hi: int) -> int:
        if lo >= hi or not self._months:
            return 0
        first, early = divmod(-(-lo // 60), _MINUTES_A_DAY)
        last, late = divmod(-(-hi // 60), _MINUTES_A_DAY)
        whole_days = self._count_days(first, last) * self._hours.bit_count() * self._minutes.bit_count()
        return whole_days - self._count_minutes(first, early) + self._count_minutes(last, late)

    def _count_days(self, day: int, end: int) -> int:
        """How many days in [day, end) match."""
        count = 0
        while day < end:
            month, first, following = _month_of(day)
            stop = min(following, end)
            days = self._days_in(month, first, stop)
            count += (days >> day - first).bit_count()
            day = stop
        return count

    def _count_minutes(self, day: int, minute: int) -> int:
        """How many fires `day` has before its `minute`."""
        if not self._matches(day):
            return 0
        hour, within = divmod(minute, 60)
        whole_hours = (self._hours & (1 << hour) - 1).bit_count() * self._minutes.bit_count()
        return whole_hours + (self._hours >> hour & 1) * (self._minutes & (1 << within) - 1).bit_count()


@lru_cache(maxsize=16_384)
def _parse(expression: str, timezone: str, dst_gap: DstGap, dst_overlap: DstOverlap) -> Cron:
    zone, body = split_zone(expression, timezone)
    fields = parse_fields(body)
    days = tuple(_matching_days(fields, first) for first in range(7))
    possible = sum(
        1 << month
        for month in range(1, 13)
        if fields.months >> month & 1 and any(mask & (1 << _LONGEST[month]) - 1 for mask in days)
    )
    return Cron(
        expression=" ".join(body.split()),
        timezone=zone,
        dst_gap=dst_gap,
        dst_overlap=dst_overlap,
        _minutes=fields.minutes,
        _hours=fields.hours,
        _months=possible if fields.minutes and fields.hours else 0,
        _days=days,
        _opening=_lowest(fields.hours) * 60 + _lowest(fields.minutes),
    )


def _matching_days(fields: Fields, first_weekday: int) -> int:
    weekdays = sum(1 << day for day in range(31) if fields.weekdays >> (first_weekday + day) % 7 & 1)
    days = fields.days >> 1
    return days | weekdays if fields.either_day else days & weekdays


@lru_cache(maxsize=16_384)
def _month_of(day: int) -> tuple[int, int, int]:
    """The month that a day is in: its number, its first day and the first day after it, as days since 1970."""
    at = date.fromordinal(day + _EPOCH_ORDINAL)
    first = day - at.day + 1
    return at.month, first, first + monthrange(at.year, at.month)[1]


def _lowest(bits: int) -> int:
    """The number of the lowest bit that is set."""
    return (bits & -bits).bit_length() - 1
