"""Slots that stand in line because of their trigger's policies: served, superseded, or left out with the reason."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from wingbeat.core.admission import Admission
from wingbeat.core.backlog import SUPERSEDED, Backlog, Cause, Unfired, skipped
from wingbeat.core.ids import ActionId
from wingbeat.core.trigger import Firing, serve
from wingbeat.operations import ending, standing
from wingbeat.operations.triggers import ledger_row
from wingbeat.store import backlogs, fires, firings, unfinished
from wingbeat.store.database import Transaction
from wingbeat.store.fires import Outcome

CANCELLED = "the next slot of its trigger fired (overlap: cancel-other)"

LeftOut = Counter[tuple[Outcome, Cause]]
"""The number of slots that came to nothing."""
Others = Mapping[int, Sequence[ActionId]]
"""By trigger, the root actions of runs that are not over."""


@dataclass(frozen=True, slots=True)
class Served:
    decided: Sequence[tuple[Backlog, Admission]]
    cancelling: Sequence[Firing]
    """The other runs of these triggers are to be aborted."""

    @property
    def unfired(self) -> list[Unfired]:
        return [unfired for _, admitted in self.decided for unfired in admitted.unfired]


async def before(tx: Transaction, claimed: Iterable[Firing]) -> dict[int, list[Backlog]]:
    """What stands before new slots, by trigger, where slots stand in line at all."""
    return await _lines(tx, [firing for firing in claimed if firing.policies.ordered])


async def serve_lines(tx: Transaction, held: Sequence[Firing], share: int) -> Served:
    """Decide about all backlogs of these triggers, at most `share` slots of each to fire; write what is left."""
    # After the clock has stepped back, some slots are not due any more.
    lines = {
        trigger_id: [slots for slots in line if slots.until <= tx.now]
        for trigger_id, line in (await _lines(tx, held)).items()
    }
    standings = await standing.read(tx, held)
    decided: list[tuple[Backlog, Admission]] = []
    cancelling: list[Firing] = []
    for firing in held:
        served, after = serve(lines.get(firing.trigger_id, []), firing, standings.of(firing), share)
        fired, cancels = sum(len(each.fires) for _, each in served), any(each.cancels for _, each in served)
        standings.count(firing, fired=fired, cancelled=cancels)
        decided += served
        if cancels:
            cancelling.append(firing)
        if after.started != firing.started:
            await firings.advance(tx, [after])
    await backlogs.serve(tx, left=(), done=[backlog for line in lines.values() for backlog in line])
    await backlogs.add(tx, [each.left for _, each in decided if each.left])
    await backlogs.park(tx, [each.waiting for _, each in decided if each.waiting])
    return Served(decided, cancelling)


async def supersede(
    tx: Transaction, cancelling: Iterable[Firing], lines: Mapping[int, Sequence[Backlog]]
) -> list[Unfired]:
    """A newer slot of these triggers fires: what stands before it never will."""
    waiting = [slots for firing in cancelling for slots in lines.get(firing.trigger_id, ())]
    await backlogs.serve(tx, left=(), done=waiting)
    return [unfired for slots in waiting for unfired in skipped(slots, SUPERSEDED)]


async def others(tx: Transaction, cancelling: Iterable[Firing]) -> Others:
    """The runs to abort, looked up before new ones start."""
    return {firing.trigger_id: await unfinished.roots(tx, firing.trigger_id) for firing in cancelling}


async def cancel(tx: Transaction, others: Others, *, started: frozenset[int]) -> None:
    """Abort the others of the triggers that have started a run; a slot that could not start ends nothing."""
    for trigger_id in sorted(started & others.keys()):
        for root in others[trigger_id]:
            await ending.abort(tx, root, CANCELLED)


async def leave_out(tx: Transaction, unfired: Iterable[Unfired]) -> LeftOut:
    """Slots that come to nothing are in the ledger with the reason."""
    rows = [(each.reason.cause, row) for each in unfired if (row := ledger_row(each))]
    await fires.insert(tx, [row for _, row in rows])
    left_out: LeftOut = Counter()
    for cause, row in rows:
        left_out[row.outcome, cause] += row.count
    return left_out


async def _lines(tx: Transaction, of: Sequence[Firing]) -> dict[int, list[Backlog]]:
    lines: dict[int, list[Backlog]] = {}
    for backlog in await backlogs.find(tx, [firing.trigger_id for firing in of]):
        lines.setdefault(backlog.trigger_id, []).append(backlog)
    return lines
