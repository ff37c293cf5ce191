"""How many slots may fire, and how many may wait, while runs are not over and other slots wait already."""

from dataclasses import dataclass
from typing import assert_never

from wingbeat.core.backlog import SUPERSEDED, Cause, Reason
from wingbeat.core.policy import Overlap

UNBOUNDED = 2**31
_OVERLAPPING = Reason(Cause.OVERLAP, "the run before it was not over")
_CROWDED = Reason(Cause.OVERLAP, "another slot waited already for the run before it to end")


@dataclass(frozen=True, slots=True)
class Standing:
    """What a slot finds when its moment has come."""

    running: int = 0
    """Runs of the trigger that are not over, whatever started them."""
    waiting: bool = False
    """Earlier slots wait: this one stands behind them."""
    free: int | None = None
    """Runs that the concurrency limit leaves room for; None without such a limit."""

    def after(self, fired: int, *, waiting: bool, cancelled: bool) -> "Standing":
        """What the next slots find when so many have fired, and the runs before them were cancelled or not."""
        running = fired + (0 if cancelled else self.running)
        free = None if self.free is None else self.free - fired + (self.running if cancelled else 0)
        return Standing(running, self.waiting or waiting, free)


ALONE = Standing()


@dataclass(frozen=True, slots=True)
class Places:
    """For a row of slots, the oldest first: so many fire, so many of the following wait, all others are skipped."""

    fire: int
    wait: int


def places(overlap: Overlap, standing: Standing) -> Places:
    """With `CANCEL_OTHER` a row has one slot: the newest."""
    room = standing.free is None or standing.free > 0
    busy = standing.running > 0 or standing.waiting
    match overlap:
        case Overlap.ALLOW:
            if standing.free is None:
                return Places(UNBOUNDED, 0)
            return Places(0 if standing.waiting else max(standing.free, 0), UNBOUNDED)
        case Overlap.SKIP if busy:
            return Places(0, 0)
        case Overlap.SKIP:
            return Places(1, 0) if room else Places(0, 1)
        case Overlap.BUFFER_ONE if standing.waiting:
            return Places(0, 0)
        case Overlap.BUFFER_ONE:
            return Places(1, 1) if room and not busy else Places(0, 1)
        case Overlap.BUFFER_ALL:
            return Places(1, UNBOUNDED) if room and not busy else Places(0, UNBOUNDED)
        case Overlap.CANCEL_OTHER:
            return Places(1, 0) if room or standing.running else Places(0, 1)
        case _:
            assert_never(overlap)


def why_skipped(overlap: Overlap) -> Reason:
    match overlap:
        case Overlap.BUFFER_ONE:
            return _CROWDED
        case Overlap.CANCEL_OTHER:
            return SUPERSEDED
        case _:
            return _OVERLAPPING
