"""Retention of events, in transactions so short that no fire waits for them.

What it costs depends on what is removed and on the number of triggers, not on what is kept.
"""

from datetime import timedelta

from wingbeat.compose.arguments import check_keep
from wingbeat.store.compose import events
from wingbeat.store.compose.connection import File
from wingbeat.store.compose.events import Place

_BATCH = 200
"""Events that one transaction removes at most."""


def prune(file: File, keep: timedelta | int) -> int:
    """Remove events older than `keep`, or all but the latest `keep` of each trigger; returns how many.

    Raises InvalidArgument.
    """
    check_keep(keep, of="events")
    if isinstance(keep, timedelta):
        return _prune_old(file, keep)
    removed, name = 0, file.read(events.first_name)
    while name is not None:
        removed += _prune_one(file, name, keep)
        name = file.read(lambda tx, after=name: events.name_after(tx, after))
    return removed


def _prune_old(file: File, age: timedelta) -> int:
    removed = 0
    while gone := file.write(lambda tx: events.prune_before(tx, tx.now - age, limit=_BATCH)):
        removed += gone
    return removed


def _prune_one(file: File, name: str, keep: int) -> int:
    until = file.read(lambda tx: events.place_of_newest(tx, name, keep))
    return 0 if until is None else _prune_until(file, name, until)


def _prune_until(file: File, name: str, until: Place) -> int:
    removed = 0
    while gone := file.write(lambda tx: events.prune_until(tx, name, until, limit=_BATCH)):
        removed += gone
    return removed
