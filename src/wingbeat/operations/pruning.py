"""Runs that are old go: first out of every list, at once; then, piece by piece, their rows and their files.

A kill at any moment leaves a run that is whole, or one that is pruned and whose rest goes with the next piece.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from wingbeat.core.ids import RunId, Scope
from wingbeat.core.pruning import BEGINNING, Ended, Kept
from wingbeat.errors import InvalidArgument
from wingbeat.store import buried_specs, clearing, pruning
from wingbeat.store.clearing import Remains
from wingbeat.store.database import Transaction
from wingbeat.wire import runs as wire

YOUNGEST = timedelta(minutes=10)
"""What has ended a moment ago is still written to: the last of its logs, the word of its end."""
OLDEST = timedelta(days=100 * 365)
NAME_RESTS = timedelta(days=7)
"""How long after its files a run's name is taken: nobody writes below it any more when it is given away again."""
SPEC_RESTS = timedelta(days=1)
"""Far longer than a transaction takes: whoever has begun to use a buried spec is seen by then."""

MOST_SCOPES = 100
"""Looked through in one step for one in which something is old enough."""


@dataclass(frozen=True, slots=True)
class Order:
    """Which runs go. Empty parts of the scope are any."""

    older_than: timedelta
    """Since the end of the run."""
    project: str = ""
    domain: str = ""

    def covers(self, scope: Scope) -> bool:
        return self.project in ("", scope.project) and self.domain in ("", scope.domain)


@dataclass(frozen=True, slots=True)
class Step:
    """What a step found among the runs that are old enough."""

    runs: Sequence[RunId]
    """Those that go, or would."""
    actions: int
    """Of these runs; 0 when nobody asked."""
    kept: Counter[Kept]
    reached: Ended | None
    """Where the next step goes on; None: there are no more."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where a pruned run has, or had, files. Both end with a slash, and only what is the run's own lies below."""

    outputs: str
    raw_data: str


def check(order: Order) -> None:
    """Raises InvalidArgument."""
    if order.older_than > OLDEST:
        raise InvalidArgument(f"older_than is more than {OLDEST.days} days: nothing is as old as that")
    if order.older_than < YOUNGEST:
        raise InvalidArgument(
            f"older_than is {order.older_than}: runs are kept for at least {YOUNGEST} after their end,"
            " as long as something may still be written about them"
        )


async def preview(tx: Transaction, order: Order, after: Ended = BEGINNING, *, limit: int) -> Step:
    """Look at the next `limit` runs behind `after`, in the order of their ends. Nothing changes."""
    found, reached = await _next(tx, order, after, limit)
    return await _sorted(tx, found, await pruning.reasons(tx, found) if found else {}, reached)


async def step(tx: Transaction, order: Order, after: Ended = BEGINNING, *, limit: int, counting: bool = True) -> Step:
    """Like `preview`, and those that go are gone for everybody from this moment on. `counting`: their actions, too."""
    found, reached = await _next(tx, order, after, limit)
    held = await pruning.lock(tx, found) if found else []
    # Asked once they are locked: what somebody has added until then counts, and nobody adds anything after it.
    kept = dict(await pruning.reasons(tx, held)) if held else {}
    kept |= dict.fromkeys(set(found) - set(held), Kept.BUSY)
    decided = await _sorted(tx, found, kept, reached, counting=counting)
    await pruning.mark(tx, decided.runs)
    return decided


async def remains(tx: Transaction, *, limit: int) -> list[Remains]:
    """The pruned runs whose rest is to go next."""
    return await clearing.find(tx, limit)


async def waiting(tx: Transaction, *, most: int) -> int:
    """How many pruned runs are not cleared; `most` stands for more, too."""
    return await clearing.count(tx, most=most)


async def remove_rows(tx: Transaction, remains: Sequence[Remains], *, limit: int) -> int:
    """Remove up to `limit` rows of pruned runs; fewer were left when it were fewer."""
    return await clearing.remove_rows(tx, [each.run for each in remains], limit)


async def cleared(tx: Transaction, remains: Sequence[Remains]) -> None:
    """Their files are gone, too."""
    await clearing.cleared(tx, [each.run for each in remains])


async def tidy(tx: Transaction, *, limit: int) -> int:
    """Free names that have rested and remove specs that nobody uses; how many, 0 when there are none."""
    freed = await clearing.forget(tx, before=tx.now - NAME_RESTS, limit=limit)
    return freed + await buried_specs.settle(tx, before=tx.now - SPEC_RESTS, limit=limit)


def files(remains: Remains) -> Files:
    run = remains.run
    raw_base = wire.raw_data_prefix(remains.run_spec)
    raw_data = f"{raw_base.rstrip('/')}/{run.project}/{run.domain}/{run.name}/" if raw_base else remains.output_base
    return Files(remains.output_base, raw_data)


async def _next(tx: Transaction, order: Order, after: Ended, limit: int) -> tuple[list[RunId], Ended | None]:
    """Runs of one scope, perhaps none, and where to go on."""
    for _ in range(MOST_SCOPES):
        if order.covers(after.scope):
            found = await pruning.ended(tx, before=tx.now - order.older_than, after=after, limit=limit)
            if found:
                return [each.id for each in found], found[-1]
        scope = await pruning.next_scope(tx, after.scope)
        if scope is None:
            return [], None
        after = Ended(scope, 0, "")
    return [], after


async def _sorted(
    tx: Transaction,
    found: Sequence[RunId],
    kept: Mapping[RunId, Kept],
    reached: Ended | None,
    *,
    counting: bool = True,
) -> Step:
    going = [run for run in found if run not in kept]
    actions = await pruning.count_actions(tx, going) if going and counting else 0
    return Step(going, actions, Counter(kept.values()), reached)
