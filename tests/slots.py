"""Schedules as tests read them."""

from datetime import UTC, datetime

from wingbeat.core.schedule import Schedule, between

FOR_EVER = datetime.max.replace(tzinfo=UTC)


def first_slots(schedule: Schedule, after: datetime, anchor: datetime, n: int) -> tuple[datetime, ...]:
    """The next `n` slots after `after`, or as many as there are."""
    return between(schedule, after, FOR_EVER, anchor, limit=n)
