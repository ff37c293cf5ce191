"""How many runs triggers will start: counted, not listed, so a year of minutes costs no more than a year of days."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from wingbeat.core.ids import TriggerName
from wingbeat.core.schedule import count_between
from wingbeat.core.trigger import Firing
from wingbeat.errors import InvalidArgument

EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
LONGEST = timedelta(days=366)
SHORTEST_BUCKET = timedelta(minutes=1)
MOST_BUCKETS = 1000
MOST_COUNTS = 250_000
"""Triggers times buckets: each is a count of ten microseconds."""
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Horizon:
    """From `begin` on; the last bucket may reach beyond the end. Raises InvalidArgument for what is too much."""

    begin: datetime
    length: timedelta
    bucket: timedelta

    def __post_init__(self) -> None:
        if not EARLIEST <= self.begin <= LATEST:
            raise InvalidArgument(f"begin is {self.begin}: it must be from {EARLIEST.year} to {LATEST.year}")
        if not timedelta() < self.length <= LONGEST:
            raise InvalidArgument(f"horizon is {self.length}: it must be longer than 0 and at most {LONGEST.days} days")
        if not SHORTEST_BUCKET <= self.bucket <= LONGEST:
            raise InvalidArgument(
                f"bucket is {self.bucket}: it must be at least {SHORTEST_BUCKET} and at most {LONGEST.days} days"
            )
        if self.buckets > MOST_BUCKETS:
            raise InvalidArgument(
                f"bucket is {self.bucket}: the horizon of {self.length} has {self.buckets} of them, at most"
                f" {MOST_BUCKETS} are counted: use longer ones"
            )

    @property
    def buckets(self) -> int:
        return -(-self.length // self.bucket)

    @property
    def edges(self) -> list[datetime]:
        """The beginnings of the buckets, and the end of the last one."""
        return [self.begin + number * self.bucket for number in range(self.buckets + 1)]


@dataclass(frozen=True, slots=True)
class Load:
    name: TriggerName
    by_bucket: Sequence[int]

    @property
    def fires(self) -> int:
        return sum(self.by_bucket)


@dataclass(frozen=True, slots=True)
class Forecast:
    begins: Sequence[datetime]
    totals: Sequence[int]
    """One for each bucket."""
    loads: Sequence[Load]
    """Those that fire at all, the busiest first."""


def forecast(triggers: Iterable[tuple[TriggerName, Firing]], horizon: Horizon) -> Forecast:
    """Of active triggers. Raises InvalidArgument when it is too much to count."""
    wanted = list(triggers)
    if len(wanted) * horizon.buckets > MOST_COUNTS:
        raise InvalidArgument(
            f"bucket is {horizon.bucket}: {len(wanted)} triggers in {horizon.buckets} buckets are too much to count:"
            " use longer buckets, a shorter horizon or one project's domain"
        )
    edges = horizon.edges
    loads = [Load(name, _within_limit(firing, _counts(firing, edges))) for name, firing in wanted]
    busy = sorted((load for load in loads if load.fires), key=lambda load: (-load.fires, load.name))
    totals = [sum(load.by_bucket[number] for load in busy) for number in range(horizon.buckets)]
    return Forecast(edges[:-1], totals, busy)


def _counts(firing: Firing, edges: Sequence[datetime]) -> list[int]:
    """A slot belongs to the bucket that begins with it; policies bound the first and the last."""
    if firing.schedule is None:
        return [0] * (len(edges) - 1)
    first, last = firing.policies.start or edges[0], firing.policies.end or edges[-1]
    bounds = [min(max(edge, first) - _TICK, last) for edge in edges]
    return [count_between(firing.schedule, begin, end, firing.anchor) for begin, end in pairwise(bounds)]


def _within_limit(firing: Firing, counts: Sequence[int]) -> list[int]:
    if firing.policies.max_runs is None:
        return list(counts)
    left, within = firing.policies.max_runs - firing.started, list[int]()
    for count in counts:
        within.append(max(0, min(count, left)))
        left -= count
    return within
