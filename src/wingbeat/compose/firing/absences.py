"""Triggers whose code this program has not: others may have it, so their slots are left to them.

Its one rule: what nobody else has done after a while is told of, with an event, again and again but ever more rarely;
it stays due.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from wingbeat.core.trigger import MAX_BACKOFF, back_off
from wingbeat.store.compose import activations, events
from wingbeat.store.compose.activations import Activation
from wingbeat.store.compose.transaction import Transaction

TIME_FOR_OTHERS = timedelta(seconds=2)
"""More than another process needs to see that something is due."""


@dataclass(frozen=True, slots=True)
class Absence:
    decided_until: datetime
    until: datetime
    """When to look at it again."""
    failures: int = 0
    """How often it was told that nobody has done it."""


def absent(before: Absence | None, activation: Activation, now: datetime) -> Absence:
    """Others have some time first; when they did nothing in it, that is to be told."""
    if before is None or before.decided_until != activation.decided_until:
        return Absence(activation.decided_until, now + TIME_FOR_OTHERS)
    if before.until > now:
        return before
    failures = before.failures + 1
    return Absence(activation.decided_until, now + back_off(failures), failures)


def tell(tx: Transaction, activation: Activation, absence: Absence, now: datetime, *, why: str) -> None:
    events.add(tx, activation.name, status="error", now=now, kind="schedule", error=why)
    activations.fail(tx, activation.name, absence.failures)


def is_forgotten(absence: Absence, now: datetime) -> bool:
    """Whether it was looked at so long ago that somebody else must have done it."""
    return absence.until <= now - 2 * MAX_BACKOFF
