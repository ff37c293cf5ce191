"""What slots find when their moment has come, for the triggers of one transaction. The others cost nothing.

Limits of a group hold over all schedulers, because the group is locked before it is counted.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable

from wingbeat.core.overlap import ALONE, Standing
from wingbeat.core.trigger import Firing
from wingbeat.store import unfinished
from wingbeat.store.database import Transaction


class Standings:
    def __init__(self, running: dict[int, int], in_groups: dict[str, int], waiting: frozenset[int]) -> None:
        self._running = running
        self._in_groups = in_groups
        self._waiting = waiting

    def of(self, firing: Firing) -> Standing:
        if not firing.policies.ordered:
            return ALONE
        limit = firing.policies.concurrency_limit
        used = self._in_groups.get(firing.group, 0) if firing.group else 0
        return Standing(
            running=self._running.get(firing.trigger_id, 0),
            waiting=firing.trigger_id in self._waiting,
            free=None if limit is None else limit - used,
        )

    def count(self, firing: Firing, *, fired: int, cancelled: bool) -> None:
        """So many runs start in this transaction, and those before them were cancelled or not."""
        if firing.group and fired:
            ended = self._running.get(firing.trigger_id, 0) if cancelled else 0
            self._in_groups[firing.group] = self._in_groups.get(firing.group, 0) + fired - ended


async def claim(tx: Transaction, among: Callable[[Collection[str]], Awaitable[list[Firing]]]) -> list[Firing]:
    """What `among` claims without the groups that it is given: those that somebody else counts at this moment."""
    without: frozenset[str] = frozenset()
    while True:
        claimed = await among(without)
        groups = {firing.group for firing in claimed if firing.group}
        held = await unfinished.hold_groups(tx, groups) if groups else groups
        if groups == held:
            return claimed
        without |= groups - held


async def read(tx: Transaction, firings: Iterable[Firing], *, waiting: Iterable[int] = ()) -> Standings:
    """`waiting`: the triggers whose earlier slots wait. All of them are claimed."""
    ordered = [firing for firing in firings if firing.policies.ordered]
    if not ordered:
        return Standings({}, {}, frozenset())
    groups = sorted({firing.group for firing in ordered if firing.group})
    running = await unfinished.counts(tx, [firing.trigger_id for firing in ordered])
    in_groups = await unfinished.counts_of_groups(tx, groups) if groups else {}
    return Standings(running, in_groups, frozenset(waiting))
