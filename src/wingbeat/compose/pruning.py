"""Retention: which runs go, in transactions so short that nobody who writes a run waits for them."""

from datetime import timedelta

from wingbeat.compose.arguments import check_keep
from wingbeat.store.compose import owners, retention
from wingbeat.store.compose.connection import File
from wingbeat.store.compose.retention import BEGINNING, Place
from wingbeat.store.compose.transaction import Transaction

_BATCH = 200
"""Runs that one transaction removes, about."""
_EVER = Place(float("inf"), "")
_OWNERS_FOR = timedelta(days=1)


def prune(file: File, keep: timedelta | int) -> int:
    """Remove runs that ended before `keep`, or all but the newest `keep` ones; how many were removed.

    A run goes with the runs below it, which a number does not count. Raises InvalidArgument.
    """
    check_keep(keep, of="runs")
    file.write(_forget_owners)
    until = _EVER if isinstance(keep, timedelta) else file.read(lambda tx: retention.place_of_newest(tx, keep))
    age = keep if isinstance(keep, timedelta) else None
    removed, place = 0, BEGINNING
    while until and (batch := file.write(_Batch(place, until, age))):
        place, gone = batch
        removed += gone
    return removed


class _Batch:
    """One transaction: where it came to and how many runs it removed, or nothing when there was nothing left."""

    def __init__(self, after: Place, until: Place, age: timedelta | None) -> None:
        self._after = after
        self._until = until
        self._age = age

    def __call__(self, tx: Transaction) -> tuple[Place, int] | None:
        before = (tx.now - self._age).timestamp() if self._age is not None else _EVER.started_at
        ended = retention.ended(tx, after=self._after, until=self._until, finished_before=before, limit=_BATCH)
        place, gone = self._after, 0
        for run in ended:
            removed = retention.remove(tx, run.run_id, limit=_BATCH)
            gone += removed
            if removed >= _BATCH:
                # It may have more below it: the next transaction meets it again.
                break
            place = run
            if gone >= _BATCH:
                break
        return (place, gone) if ended else None


def _forget_owners(tx: Transaction) -> None:
    owners.forget(tx, before=(tx.now - _OWNERS_FOR).timestamp())
