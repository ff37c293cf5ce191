"""Runs for slots of the past: which slots, how many at a time, and what can be done with a backfill when."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from wingbeat.core.backlog import Backlog
from wingbeat.core.cron import Cron
from wingbeat.core.schedule import Schedule, between, count_between
from wingbeat.core.trigger import Firing
from wingbeat.errors import FailedPrecondition, InvalidArgument

MOST_SLOTS = 10_000
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)


class BackfillState(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    """Every slot is decided, and no run works any more."""
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        return self in (BackfillState.DONE, BackfillState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Slots at or after `begin` and before `end`."""

    begin: datetime
    end: datetime
    again: bool
    """Also those that have fired already."""
    max_running: int


@dataclass(frozen=True, slots=True)
class Backfill:
    id: str
    trigger_id: int
    revision: int
    """What is run, whatever becomes of the trigger meanwhile."""
    schedule: Schedule
    anchor: datetime
    wanted: Wanted
    after: datetime
    """Every slot up to here is decided."""
    state: BackfillState
    reason: str
    """Why it was cancelled, when nobody did it by hand."""
    slots: int
    started: int
    left_out: int
    missed: int
    created_by: str
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next about a backfill."""

    starts: tuple[datetime, ...]
    left_out: int
    after: datetime
    exhausted: bool
    """There is no slot left to decide."""


def planned(firing: Firing, wanted: Wanted, *, backfill_id: str, by: str, now: datetime) -> Backfill:
    """A backfill that is about to begin. Raises InvalidArgument, naming the field, and FailedPrecondition."""
    _check(wanted, now)
    if firing.schedule is None:
        raise FailedPrecondition("the trigger has no schedule, so it has no slots")
    policies = firing.policies
    begin = max(wanted.begin, policies.start) if policies.start else wanted.begin
    end = min(wanted.end, policies.end + _TICK) if policies.end else wanted.end
    anchor = _anchor_before(firing.schedule, firing.anchor, begin)
    slots = count_between(firing.schedule, begin - _TICK, max(begin, end) - _TICK, anchor)
    if slots > MOST_SLOTS:
        raise InvalidArgument(
            f"begin and end: there are {slots} slots between {wanted.begin.isoformat()} and {wanted.end.isoformat()},"
            f" and a backfill has at most {MOST_SLOTS}: choose a shorter time"
        )
    if not slots:
        raise InvalidArgument(
            f"begin and end: there is no slot between {wanted.begin.isoformat()} and {wanted.end.isoformat()}"
        )
    return Backfill(
        id=backfill_id,
        trigger_id=firing.trigger_id,
        revision=firing.revision,
        schedule=firing.schedule,
        anchor=anchor,
        wanted=replace(wanted, begin=begin, end=end),
        after=begin - _TICK,
        state=BackfillState.RUNNING,
        reason="",
        slots=slots,
        started=0,
        left_out=0,
        missed=0,
        created_by=by,
        created_at=now,
        ended_at=None,
    )


def undecided(backfill: Backfill, limit: int) -> tuple[datetime, ...]:
    """The next slots that nobody has decided about."""
    until = backfill.wanted.end - _TICK
    return between(backfill.schedule, backfill.after, until, backfill.anchor, limit=limit)


def step(backfill: Backfill, slots: Sequence[datetime], taken: Collection[datetime], *, free: int, more: bool) -> Step:
    """Start up to `free` of `slots`, which are the next ones, except those that are `taken`."""
    starts: list[datetime] = []
    left_out, after = 0, backfill.after
    for slot in slots:
        if slot in taken:
            left_out += 1
        elif len(starts) < free:
            starts.append(slot)
        else:
            return Step(tuple(starts), left_out, after, exhausted=False)
        after = slot
    return Step(tuple(starts), left_out, after if more else backfill.wanted.end - _TICK, exhausted=not more)


def owed(firing: Firing, backlogs: Sequence[Backlog], slots: Sequence[datetime]) -> set[datetime]:
    """Those of the slots that the scheduler has yet to decide about: it fires them itself."""
    return {slot for slot in slots if _is_due(firing, slot) or any(_waits_in(backlog, slot) for backlog in backlogs)}


def _is_due(firing: Firing, slot: datetime) -> bool:
    """A trigger without a next slot owes none: it is inactive, say, or has had its `max_runs`."""
    if firing.next_fire_at is None or firing.schedule is None or slot <= firing.decided_until:
        return False
    return _has(firing.schedule, firing.anchor, slot)


def _waits_in(backlog: Backlog, slot: datetime) -> bool:
    return backlog.after < slot <= backlog.until and _has(backlog.schedule, backlog.anchor, slot)


def _has(schedule: Schedule, anchor: datetime, slot: datetime) -> bool:
    """Backfills keep the schedule they began with: the trigger's may be another one by now, or have been before."""
    return bool(between(schedule, slot - _TICK, slot, anchor, limit=1))


def changed(backfill: Backfill, state: BackfillState, *, now: datetime, reason: str = "") -> Backfill:
    """The backfill in another state; the same when it is in it. Raises FailedPrecondition for one that is over."""
    if backfill.state is state:
        return backfill
    if backfill.state.over:
        raise FailedPrecondition(f"backfill {backfill.id!r} is {backfill.state}: it cannot be {state} any more")
    return replace(backfill, state=state, reason=reason, ended_at=now if state.over else None)


def _check(wanted: Wanted, now: datetime) -> None:
    begin, end = wanted.begin.isoformat(), wanted.end.isoformat()
    if wanted.begin >= wanted.end:
        raise InvalidArgument(f"end is {end}: it must be later than begin, {begin}")
    if wanted.end > now:
        raise InvalidArgument(f"end is {end}: it must not be later than now, {now.isoformat()}")
    if wanted.begin < EARLIEST:
        raise InvalidArgument(f"begin is {begin}: it must not be earlier than {EARLIEST.year}")


def _anchor_before(schedule: Schedule, anchor: datetime, begin: datetime) -> datetime:
    """An anchor of the same phase: intervals have no slots before theirs."""
    if isinstance(schedule, Cron) or anchor < begin:
        return anchor
    periods = (anchor - begin) // schedule.period + 1
    return anchor - periods * schedule.period
