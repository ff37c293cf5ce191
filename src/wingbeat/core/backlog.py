"""Consecutive slots of one schedule that are owed: to be fired, to wait, or to come to nothing for one reason."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from wingbeat.core.schedule import Schedule, last_between, next_after

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Backlog:
    """Slots in (`after`, `until`] that came due while nobody could fire them, under the schedule of that time."""

    trigger_id: int
    revision: int
    schedule: Schedule
    anchor: datetime
    after: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Unfired:
    """Slots that come to nothing, for one reason: a row of the ledger."""

    slots: Backlog
    outcome: Literal["skipped", "missed"]
    reason: str


def skipped(slots: Backlog | None, reason: str) -> tuple[Unfired, ...]:
    return () if slots is None else (Unfired(slots, "skipped", reason),)


def missed(slots: Backlog | None, reason: str) -> tuple[Unfired, ...]:
    return () if slots is None else (Unfired(slots, "missed", reason),)


def split(slots: Backlog, at: datetime) -> tuple[Backlog | None, Backlog | None]:
    """The slots up to `at`, and those after it; None where there are none."""
    first = next_after(slots.schedule, slots.after, slots.anchor)
    if first is None or first > at:
        return None, slots
    following = next_after(slots.schedule, at, slots.anchor) if at < slots.until else None
    if following is None or following > slots.until:
        return slots, None
    return replace(slots, until=at), replace(slots, after=at)


def newest(slots: Backlog) -> tuple[Backlog | None, Backlog]:
    """All but the last slot, if there are more, and the last one."""
    last = last_between(slots.schedule, slots.after, slots.until, slots.anchor)
    if last is None or next_after(slots.schedule, slots.after, slots.anchor) == last:
        return None, slots
    return replace(slots, until=last - _TICK), replace(slots, after=last - _TICK)
