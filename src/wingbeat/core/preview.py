"""Slots as people read them: on the wall clock of their zone, with a word where a change of the clock matters."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import assert_never

from wingbeat.core import cron_seconds
from wingbeat.core.cron import Cron, DstGap, DstOverlap
from wingbeat.core.schedule import Schedule
from wingbeat.core.trigger import Firing, comes_due_at, moved
from wingbeat.core.zones import EPOCH, Stretch, stretch_at, stretches_between

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Slot:
    at: datetime
    """In UTC."""
    local: datetime
    """The same with the offset of the schedule's zone."""
    note: str
    """What a change of the clock does to this slot, or did to one just before it; empty nearly always."""
    fires_at: datetime
    """Later than `at` by the slot's jitter."""


def upcoming(firing: Firing, after: datetime, n: int) -> tuple[Slot, ...]:
    """The next `n` slots after `after`, or as many as its policies leave, as if the trigger were active."""
    if firing.schedule is None:
        return ()
    found: list[tuple[datetime, datetime]] = []
    state, reached = replace(firing, active=True), after
    while len(found) < n:
        state = moved(state, reached)
        fires_at = comes_due_at(state)
        if state.next_fire_at is None or fires_at is None:
            break
        found.append((state.next_fire_at, fires_at))
        state, reached = replace(state, started=state.started + 1), state.next_fire_at
    return tuple(
        replace(slot, fires_at=fires_at)
        for slot, (_, fires_at) in zip(
            annotated(firing.schedule, [slot for slot, _ in found], after=after), found, strict=True
        )
    )


def zone_of(schedule: Schedule | None) -> str:
    """The zone whose wall clock a schedule follows; intervals follow none."""
    return schedule.timezone if isinstance(schedule, Cron) else "UTC"


def annotated(schedule: Schedule, slots: Sequence[datetime], *, after: datetime) -> tuple[Slot, ...]:
    """`slots` are all of the schedule's from `after` on, ascending."""
    zone = zone_of(schedule)
    befores = (after, *slots)
    return tuple(
        Slot(slot, _local(slot, stretch_at(zone, _seconds(slot))), _note(schedule, before, slot), slot)
        for before, slot in zip(befores, slots, strict=False)
    )


def _note(schedule: Schedule, before: datetime, slot: datetime) -> str:
    if not isinstance(schedule, Cron):
        return ""
    notes = [*_left_out(schedule, before, slot), *_repeated(schedule, slot), *_shifted(schedule, slot)]
    return "; ".join(notes)


def _left_out(schedule: Cron, before: datetime, slot: datetime) -> Iterator[str]:
    """Wall-clock times between two slots that the schedule names and no clock shows."""
    if schedule.dst_gap is not DstGap.SKIP:
        return
    for stretch in stretches_between(schedule.timezone, _seconds(before) + 1, _seconds(slot) + 1):
        if stretch.before < stretch.offset and _seconds(before) < stretch.start:
            gap = stretch.start + stretch.before
            wall = _first_match(schedule, gap, stretch.start + stretch.offset)
            if wall is not None:
                yield f"{_clock(wall)} does not exist on {_day(gap)}, as the clock goes forward: it does not fire"


def _shifted(schedule: Cron, slot: datetime) -> Iterator[str]:
    """A slot that stands for a time that no clock shows."""
    at = _seconds(slot)
    stretch = stretch_at(schedule.timezone, at)
    gap, gap_end = stretch.start + stretch.before, stretch.start + stretch.offset
    meant: int | None = None
    if schedule.dst_gap is DstGap.SHIFT and at + stretch.before < gap_end:
        meant = _first_match(schedule, at + stretch.before, at + stretch.before + 1)
    elif schedule.dst_gap is DstGap.NEXT and at == stretch.start:
        meant = _first_match(schedule, gap, gap_end)
    if meant is not None:
        yield f"{_clock(meant)} does not exist on {_day(gap)}, as the clock goes forward: it fires now"


def _repeated(schedule: Cron, slot: datetime) -> Iterator[str]:
    """A slot at a time that the clock shows twice."""
    at = _seconds(slot)
    stretch = stretch_at(schedule.timezone, at)
    wall = _clock(at + stretch.offset)
    second = stretch.before > stretch.offset and at - stretch.start < stretch.before - stretch.offset
    first = stretch.after < stretch.offset and stretch.end - at <= stretch.offset - stretch.after
    if not (first or second):
        return
    match schedule.dst_overlap:
        case DstOverlap.BOTH:
            yield f"the clock goes back and shows {wall} twice: this is the {'first' if first else 'second'} time"
        case DstOverlap.FIRST | DstOverlap.LAST:
            yield f"the clock goes back and shows {wall} twice: it fires the {schedule.dst_overlap} time only"
        case _:
            assert_never(schedule.dst_overlap)


def _first_match(schedule: Cron, lo: int, hi: int) -> int | None:
    """The first wall-clock time in [lo, hi) that the expression names, whether any clock shows it or not."""
    everywhere = cron_seconds.parse(schedule.expression, "UTC")
    wall = everywhere.next_after(EPOCH + timedelta(seconds=lo) - _SECOND)
    return None if wall is None or _seconds(wall) >= hi else _seconds(wall)


def _local(slot: datetime, stretch: Stretch) -> datetime:
    return slot.astimezone(timezone(timedelta(seconds=stretch.offset)))


def _seconds(moment: datetime) -> int:
    return (moment - EPOCH) // _SECOND


def _clock(wall: int) -> str:
    return f"{datetime.fromtimestamp(wall, UTC):%H:%M}"


def _day(wall: int) -> str:
    return f"{datetime.fromtimestamp(wall, UTC):%Y-%m-%d}"
