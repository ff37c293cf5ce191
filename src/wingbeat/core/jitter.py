"""Jitter: how much later than its slot a trigger fires. A slot has one delay, for every process that asks, for ever.

A delay is shorter than the distance to the next slot, so slots come due in their order.
"""

import hashlib
from datetime import datetime, timedelta

from wingbeat.core.schedule import Schedule, last_between, next_after

_TICK = timedelta(microseconds=1)


def delay(trigger_id: int, schedule: Schedule, slot: datetime, anchor: datetime, most: timedelta) -> timedelta:
    """At least nothing, and less than `most`."""
    following = next_after(schedule, slot, anchor)
    span = most if following is None else min(most, following - slot)
    digest = hashlib.sha256(f"{trigger_id}/{slot.isoformat()}".encode()).digest()
    return span // _TICK * int.from_bytes(digest[:6]) // 2**48 * _TICK


def reach(
    trigger_id: int, schedule: Schedule, anchor: datetime, most: timedelta, *, after: datetime, now: datetime
) -> datetime:
    """The last moment up to which each slot since `after` has come due by `now`."""
    if not most:
        return now
    last = last_between(schedule, after, now, anchor)
    if last is None or last + delay(trigger_id, schedule, last, anchor, most) <= now:
        return now
    return last - _TICK
