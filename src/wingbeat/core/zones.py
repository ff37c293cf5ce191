"""Time zones as stretches of constant offset, read from the tzdata wheel and never from the host.

Its one rule: all times are whole seconds since 1970, UTC or on the wall clock of a zone, as the name says.
"""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple
from zoneinfo import ZoneInfo

import tzdata

from wingbeat.errors import InvalidArgument

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = (datetime(2, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(seconds=1)
LATEST = (datetime(9998, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(seconds=1)
"""Between these, every wall clock and the end of every stretch can be written as a datetime."""

_DAY = 86_400
_STEP = 2 * _DAY
"""How far apart offsets are probed. The two closest changes of any zone, ever, are almost seven days apart."""
_CHUNK = 366 * _DAY


class Stretch(NamedTuple):
    """The moments in [start, end) UTC, throughout which a zone's offset is the same."""

    start: int
    end: int
    offset: int
    """Seconds to add to UTC for the wall clock."""
    before: int
    """The offset just before `start`."""
    after: int
    """The offset at `end`."""


def tzdata_version() -> str:
    """The IANA release of the zone rules in use, such as "2026a"."""
    return tzdata.IANA_VERSION


def check_zone(name: str) -> str:
    """Return `name`; raise InvalidArgument unless it is an IANA time zone."""
    if name not in _names():
        close = get_close_matches(name, sorted(_names()), n=1)
        hint = f"did you mean {close[0]!r}?" if close else "use an IANA name such as 'Europe/Berlin', or 'UTC'"
        raise InvalidArgument(f"time zone {name!r} is unknown: {hint}")
    return name


def stretch_at(zone: str, moment: int) -> Stretch:
    """The stretch of `zone` that holds `moment`. Long ones are cut in pieces of about a year."""
    ends, stretches = _stretches(zone, moment // _CHUNK)
    return stretches[bisect_right(ends, moment)]


def stretches_between(zone: str, start: int, end: int) -> Iterator[Stretch]:
    """The stretches that overlap [start, end), ascending; their outer ends may lie outside."""
    while start < end:
        stretch = stretch_at(zone, start)
        yield stretch
        start = stretch.end


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(files(tzdata).joinpath("zones").read_text(encoding="utf-8").split())


@lru_cache(maxsize=1024)
def _rules(zone: str) -> ZoneInfo:
    with files(tzdata).joinpath("zoneinfo", *zone.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=zone)


@lru_cache(maxsize=8192)
def _stretches(zone: str, chunk: int) -> tuple[tuple[int, ...], tuple[Stretch, ...]]:
    """The ends of the stretches of one chunk, and the stretches."""
    rules = _rules(zone)
    start, end = chunk * _CHUNK, (chunk + 1) * _CHUNK
    bounds = [start, *_changes(rules, start, end), end]
    offsets = [_offset_at(rules, moment) for moment in (start - 1, *bounds)]
    stretches = zip(bounds, bounds[1:], offsets[1:], offsets, offsets[2:], strict=False)
    return tuple(bounds[1:]), tuple(Stretch(*fields) for fields in stretches)


def _changes(rules: ZoneInfo, start: int, end: int) -> Iterator[int]:
    """The moments in (start, end) at which the offset changes."""
    offset = _offset_at(rules, start)
    for low in range(start, end, _STEP):
        high = min(low + _STEP, end) - 1
        following = _offset_at(rules, high)
        if following != offset:
            yield _bisect_change(rules, low - 1, high)
            offset = following


def _bisect_change(rules: ZoneInfo, low: int, high: int) -> int:
    offset = _offset_at(rules, low)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_at(rules, middle) == offset:
            low = middle
        else:
            high = middle
    return high


def _offset_at(rules: ZoneInfo, moment: int) -> int:
    within = min(max(moment, EARLIEST), LATEST)
    wall = datetime.fromtimestamp(within, rules).replace(tzinfo=UTC)
    return (wall - EPOCH) // timedelta(seconds=1) - within
