"""Consecutive slots of one schedule that are owed: to be fired, to wait, or to come to nothing for one reason."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
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


class Cause(StrEnum):
    """Why slots come to nothing, in one word for those who count: of these there are few, of reasons any number."""

    OVERLAP = "overlap"
    SUPERSEDED = "superseded"
    MAX_RUNS = "max-runs"
    LATE = "late"
    GONE = "gone"
    CLOSED = "closed"
    INVALID = "invalid"
    STOPPED = "stopped"


CAUSES: Mapping[Cause, str] = {
    Cause.OVERLAP: "skipped: runs before it were not over, as the overlap policy has it",
    Cause.SUPERSEDED: "skipped: a later slot took its place",
    Cause.MAX_RUNS: "skipped: the trigger had started as many runs as it may",
    Cause.LATE: "missed: too late to be caught up, as the catch-up policy has it",
    Cause.GONE: "missed: the project or the version of the task did not exist any more",
    Cause.CLOSED: "missed: the project was archived",
    Cause.INVALID: "missed: no run can be made of what the trigger says",
    Cause.STOPPED: "missed: the trigger was deactivated or deleted first; known to the ledger, and not counted",
}


@dataclass(frozen=True, slots=True)
class Reason:
    cause: Cause
    text: str
    """For people; the ledger keeps it."""


SUPERSEDED = Reason(Cause.SUPERSEDED, "superseded by a later slot")


@dataclass(frozen=True, slots=True)
class Unfired:
    """Slots that come to nothing, for one reason: a row of the ledger."""

    slots: Backlog
    outcome: Literal["skipped", "missed"]
    reason: Reason


def skipped(slots: Backlog | None, reason: Reason) -> tuple[Unfired, ...]:
    return () if slots is None else (Unfired(slots, "skipped", reason),)


def missed(slots: Backlog | None, reason: Reason) -> tuple[Unfired, ...]:
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
