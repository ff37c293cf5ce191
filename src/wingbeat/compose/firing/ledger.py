"""Slots that come to nothing, as events: one for each row of slots, with the first of them, their number and why."""

from collections.abc import Iterable
from datetime import datetime

from wingbeat.compose.firing.schedules import count, first_slot
from wingbeat.core.backlog import Unfired
from wingbeat.store.compose import events
from wingbeat.store.compose.transaction import Transaction


def note(tx: Transaction, name: str, unfired: Iterable[Unfired], now: datetime) -> None:
    for each in unfired:
        events.add(
            tx,
            name,
            status=each.outcome,
            now=now,
            kind="schedule",
            scheduled_for=first_slot(each),
            revision=each.slots.revision,
            slots=count(each),
            error=each.reason.text,
        )
