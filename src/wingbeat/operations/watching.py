"""What the end of a run means for its trigger: slots that waited for it, and failures in a row that pause it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from wingbeat.core.action import Phase
from wingbeat.core.policy import PREFIX
from wingbeat.core.trigger import Firing
from wingbeat.operations import pauses, standing
from wingbeat.store import backlogs, firings, run_ends
from wingbeat.store import triggers as stored
from wingbeat.store.database import Transaction
from wingbeat.store.run_ends import RunEnd

PAUSED_BY = PREFIX + "pause-after-failures"
WOKEN = 100
"""Backlogs of a group that are looked at after one of its runs has ended: more than a limit lets fire at once."""


async def hear_of_ends(tx: Transaction, limit: int) -> int:
    """Take word of the runs of up to `limit` triggers; what waited for them is due now.

    How many those were: fewer, when there is no word left but of triggers, or groups, that somebody else holds.
    """
    claimed = await standing.claim(tx, lambda without: firings.claim_heard(tx, limit, without=without))
    held = {firing.trigger_id: firing for firing in claimed}
    ids = list(held)
    counted = [replace(held[id_], failed_runs=n) for id_, n in _failed_runs(held, await run_ends.take(tx, ids)).items()]
    await firings.save_failed_runs(tx, counted)
    await _pause(tx, [firing for firing in counted if _has_failed_enough(firing)])
    await backlogs.wake(tx, ids)
    for group in sorted({firing.group for firing in claimed if firing.group}):
        await backlogs.wake_group(tx, group, WOKEN)
    return len(ids)


def _failed_runs(held: dict[int, Firing], ends: Iterable[RunEnd]) -> dict[int, int]:
    """Failures in a row of the current revisions; a run that was aborted says nothing about the next one."""
    failed: dict[int, int] = {}
    for end in ends:
        firing = held[end.trigger_id]
        if firing.policies.pause_after_failures is None or end.revision != firing.revision:
            continue
        before = failed.get(firing.trigger_id, firing.failed_runs)
        match end.phase:
            case Phase.FAILED | Phase.TIMED_OUT:
                failed[firing.trigger_id] = before + 1
            case Phase.ABORTED:
                pass
            case _:
                failed[firing.trigger_id] = 0
    return failed


def _has_failed_enough(firing: Firing) -> bool:
    most = firing.policies.pause_after_failures
    return firing.active and most is not None and firing.failed_runs >= most


async def _pause(tx: Transaction, failed: Sequence[Firing]) -> None:
    found = await stored.find_many(tx, [firing.trigger_id for firing in failed])
    for firing in failed:
        reason = f"{firing.failed_runs} runs in a row have failed"
        await pauses.pause(tx, found[firing.trigger_id].name, reason=reason, until=None, by=PAUSED_BY)
