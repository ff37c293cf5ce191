"""Which slots whose moment has come may fire. Every slot is fired, skipped, made to wait, or left for later, once."""

from dataclasses import dataclass, replace
from datetime import datetime

from wingbeat.core.backlog import Backlog, Cause, Reason, Unfired, newest, skipped, split
from wingbeat.core.overlap import UNBOUNDED, Standing, places, why_skipped
from wingbeat.core.policy import Overlap, Policies
from wingbeat.core.schedule import between


@dataclass(frozen=True, slots=True)
class Admission:
    """What becomes of the slots of a backlog."""

    fires: tuple[datetime, ...] = ()
    """Oldest first."""
    unfired: tuple[Unfired, ...] = ()
    waiting: Backlog | None = None
    """They wait for the end of a run."""
    left: Backlog | None = None
    """The limit leaves them for another round."""
    cancels: bool = False
    """The runs that are not over are aborted first."""


def admit(slots: Backlog, policies: Policies, standing: Standing, *, started: int, limit: int) -> Admission:
    """At most `limit` of the slots fire, the oldest first. `started` counts towards `max_runs`."""
    older, slots = newest(slots) if policies.overlap is Overlap.CANCEL_OTHER else (None, slots)
    why = why_skipped(policies.overlap)
    allowed = places(policies.overlap, standing)
    runs_left = UNBOUNDED if policies.max_runs is None else max(policies.max_runs - started, 0)
    most = min(allowed.fire, runs_left, limit)
    found = between(slots.schedule, slots.after, slots.until, slots.anchor, limit=most + 1)
    fires = found[:most]
    admitted = Admission(fires, skipped(older, why), cancels=bool(fires) and policies.overlap is Overlap.CANCEL_OTHER)
    if len(found) == len(fires):
        return admitted
    rest = replace(slots, after=fires[-1]) if fires else slots
    if most == runs_left:
        return _with_skipped(admitted, rest, Reason(Cause.MAX_RUNS, f"max-runs {policies.max_runs} is reached"))
    if most < allowed.fire:
        return replace(admitted, left=rest)
    if allowed.wait == UNBOUNDED:
        return replace(admitted, waiting=rest)
    waiting, beyond = split(rest, found[-1]) if allowed.wait else (None, rest)
    return _with_skipped(replace(admitted, waiting=waiting), beyond, why)


def _with_skipped(admitted: Admission, slots: Backlog | None, why: Reason) -> Admission:
    return replace(admitted, unfired=(*admitted.unfired, *skipped(slots, why)))
