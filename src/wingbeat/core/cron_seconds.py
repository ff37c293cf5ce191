"""The cron dialect of embedded triggers: five fields, or six with the second first.

Its one rule: six fields are the moments that the last five name, each minute cut into the seconds that the first one
names. What the server accepts stays `cron.parse`: five fields only (docs/adr/0016-seconds-are-a-dialect.md).
"""

from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any

from wingbeat.core import cron
from wingbeat.core.cron import Cron, DstGap, DstOverlap
from wingbeat.core.cron_syntax import parse_seconds, split_zone
from wingbeat.errors import InvalidArgument

_FIELDS = 6


@lru_cache(maxsize=16_384)
def parse(
    expression: str,
    timezone: str = "",
    *,
    dst_gap: DstGap = DstGap.SKIP,
    dst_overlap: DstOverlap = DstOverlap.BOTH,
) -> Cron:
    """Like `cron.parse`, and six fields are right, too. Raises InvalidArgument that names the bad field."""
    zone, body = split_zone(expression, timezone)
    texts = body.split()
    if len(texts) not in (_FIELDS, _FIELDS - 1) and not body.startswith("@"):
        raise InvalidArgument(
            f"cron expression {body!r} has {len(texts)} fields and must have five: minute, hour, day of month, month, "
            "day of week; or six, with the second before them"
        )
    if len(texts) != _FIELDS:
        return cron.parse(expression, timezone, dst_gap=dst_gap, dst_overlap=dst_overlap)
    seconds = parse_seconds(texts[0])
    minutely = cron.parse(" ".join(texts[1:]), zone, dst_gap=dst_gap, dst_overlap=dst_overlap)
    same: dict[str, Any] = {each.name: getattr(minutely, each.name) for each in fields(Cron)}
    if not seconds:
        same["_months"] = 0
    same["expression"] = " ".join(texts)
    return CronOfSeconds(**same, _seconds=seconds)


@dataclass(frozen=True, slots=True)
class CronOfSeconds(Cron):
    """A parsed expression of six fields; made by `parse`."""

    _seconds: int = field(repr=False, compare=False)
    """Bit n is second n."""

    def _first_wall(self, lo: int, hi: int) -> int | None:
        minute, second = divmod(lo, 60)
        at = Cron._first_wall(self, minute * 60, hi)
        if at is not None and at == minute * 60:
            seconds = self._seconds >> second
            if seconds:
                return _within(lo + _lowest(seconds), hi)
            at = Cron._first_wall(self, at + 60, hi)
        return None if at is None else _within(at + _lowest(self._seconds), hi)

    def _count_walls(self, lo: int, hi: int) -> int:
        if lo >= hi or not self._months:
            return 0
        whole = Cron._count_walls(self, lo - lo % 60, hi - hi % 60) * self._seconds.bit_count()
        return whole - self._count_before(lo) + self._count_before(hi)

    def _count_before(self, wall: int) -> int:
        """How many fires the minute of `wall` has before it."""
        minute, second = divmod(wall, 60)
        matches = Cron._first_wall(self, minute * 60, minute * 60 + 1) is not None
        return (self._seconds & (1 << second) - 1).bit_count() if matches else 0


def _within(wall: int, hi: int) -> int | None:
    return wall if wall < hi else None


def _lowest(bits: int) -> int:
    return (bits & -bits).bit_length() - 1
