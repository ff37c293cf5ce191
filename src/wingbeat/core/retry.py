"""Who may retry which failure, and after how long. Faults of the system never use up the retries a user asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from wingbeat.core.action import ErrorKind, Failure

SYSTEM_RETRIES = 3
"""How often an action is tried again after failures that are nobody's fault."""
LONGEST = timedelta(days=7)
INTERRUPTED = "Interrupted"
"""The code of failures that are nobody's fault; the SDK looks for this word."""
LOST = Failure(INTERRUPTED, ErrorKind.SYSTEM, "the attempt was lost: the node that ran it is gone", retryable=True)


@dataclass(frozen=True, slots=True)
class Backoff:
    """The n-th retry, counted from 0, waits `base * factor ** n`, never longer than `cap` or `LONGEST`."""

    base: timedelta
    factor: float = 1.0
    cap: timedelta | None = None

    def delay(self, n: int) -> timedelta:
        longest = LONGEST if self.cap is None else min(self.cap, LONGEST)
        try:
            return min(self.base * self.factor**n, longest)
        except OverflowError:
            return longest


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """What a task asks for when its own code fails."""

    retries: int = 0
    backoff: Backoff | None = None


SYSTEM_BACKOFF = Backoff(timedelta(seconds=1), factor=4.0, cap=timedelta(minutes=1))
OUTSIDE_BACKOFF = Backoff(timedelta(seconds=1), factor=2.0, cap=timedelta(minutes=1))
"""For what could not even be begun because something outside is away."""


def retry_after(failures: Sequence[Failure], policy: RetryPolicy, *, chance: float) -> timedelta | None:
    """How long to wait before the attempt that follows the last of `failures`; None: there is none.

    `failures` are those of all attempts so far, in their order; `chance` is a random number in [0, 1).
    """
    last = failures[-1]
    if not last.retryable:
        return None
    is_system = last.kind is ErrorKind.SYSTEM
    before = sum((failure.kind is ErrorKind.SYSTEM) == is_system for failure in failures[:-1])
    if is_system:
        return jittered(SYSTEM_BACKOFF.delay(before), chance) if before < SYSTEM_RETRIES else None
    if before >= policy.retries:
        return None
    # Without jitter: this delay is what the user wrote down.
    return policy.backoff.delay(before) if policy.backoff else timedelta(0)


def jittered(delay: timedelta, chance: float) -> timedelta:
    """Between half of `delay` and all of it, so that what failed together does not come back together."""
    return delay * (0.5 + chance / 2)
