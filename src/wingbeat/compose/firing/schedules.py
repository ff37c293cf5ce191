"""An activation as the core sees it, and what the core decides about its slots.

Its one rule: nothing is decided here that `wingbeat.core` can decide, so the same policies mean the same moments as
on the server.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from wingbeat.compose.trigger_defs import Overlapping, TriggerDef, TriggerKind
from wingbeat.core import schedule as schedules
from wingbeat.core.backlog import Backlog, Unfired
from wingbeat.core.overlap import Standing
from wingbeat.core.schedule import Schedule
from wingbeat.core.trigger import Firing, comes_due_at, due, moved, serve
from wingbeat.store.compose.activations import Activation

MOST_FIRES = 100
"""Of one trigger in one look; the rest has its turn in the next one."""


@dataclass(frozen=True, slots=True)
class Decision:
    fires: tuple[datetime, ...]
    unfired: tuple[Unfired, ...]
    firing: Firing
    line: tuple[Backlog, ...]
    """Slots that wait, the oldest first."""
    hungry: bool
    """More may fire at once."""


def schedule_of(definition: TriggerDef) -> Schedule | None:
    if definition.schedule is None or definition.trigger_type != TriggerKind.POLL:
        return None
    return schedules.parse_embedded(definition.schedule.strip(), definition.timezone)


def firing_of(activation: Activation, definition: TriggerDef) -> Firing:
    """Raises InvalidArgument for a schedule that somebody else has written."""
    firing = Firing(
        trigger_id=_number(activation.name),
        revision=activation.revision,
        schedule=schedule_of(definition),
        active=activation.active,
        anchor=activation.anchor,
        decided_until=activation.decided_until,
        next_fire_at=None,
        failures=activation.failures,
        policies=definition.policies,
    )
    return replace(moved(firing, firing.decided_until), failures=activation.failures)


def wake_at(decision: Decision, now: datetime) -> datetime | None:
    """What waits for the end of a run is woken by it."""
    return now if decision.hungry else comes_due_at(decision.firing)


def decide(
    activation: Activation, definition: TriggerDef, *, running: int, now: datetime, limit: int = MOST_FIRES
) -> Decision:
    """All slots up to `now` fire, wait, or come to nothing, each once."""
    line = decode_line(activation.line_json)
    found = due(firing_of(activation, definition), now, limit, _standing(definition, running, waiting=bool(line)))
    line = [*line, *(slots for slots in (found.backlog, found.waiting) if slots is not None)]
    fires, unfired, firing = list(found.fires), list(found.unfired), found.firing
    hungry = firing.next_fire_at is not None and (comes_due_at(firing) or firing.next_fire_at) <= now
    while line and len(fires) < limit:
        served, firing = serve(line, firing, _standing(definition, running + len(fires)), limit - len(fires))
        started = [slot for _, admitted in served for slot in admitted.fires]
        fires += started
        unfired += [each for _, admitted in served for each in admitted.unfired]
        line = [left for _, admitted in served for left in (admitted.waiting, admitted.left) if left is not None]
        if not started:
            break
    else:
        hungry = hungry or bool(line)
    return Decision(tuple(sorted(fires)), tuple(unfired), firing, tuple(line), hungry)


def encode_line(line: Sequence[Backlog]) -> str | None:
    if not line:
        return None
    return json.dumps(
        [
            [schedules.encode(each.schedule), each.revision]
            + [at.isoformat() for at in (each.anchor, each.after, each.until)]
            for each in line
        ]
    )


def decode_line(text: str | None) -> list[Backlog]:
    return [
        Backlog(0, revision, schedules.decode(schedule), *(datetime.fromisoformat(at) for at in moments))
        for schedule, revision, *moments in json.loads(text or "[]")
    ]


def count(unfired: Unfired) -> int:
    slots = unfired.slots
    return schedules.count_between(slots.schedule, slots.after, slots.until, slots.anchor)


def first_slot(unfired: Unfired) -> datetime | None:
    return schedules.next_after(unfired.slots.schedule, unfired.slots.after, unfired.slots.anchor)


def _standing(definition: TriggerDef, running: int, *, waiting: bool = False) -> Standing:
    """The core knows one run at a time: with `max_instances`, the runs that leave a place do not count."""
    if definition.overlap == Overlapping.ALLOW:
        return Standing(running, waiting)
    return Standing(max(running - definition.max_instances + 1, 0), waiting)


def _number(name: str) -> int:
    """What the jitter of a trigger depends on: the same in all processes."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6])
