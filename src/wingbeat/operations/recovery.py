"""Runs that came from another one. A recovery begins with all that the other one has finished well.

What is recovered is there before anything runs: a parent that asks for such an action, or is about to make such a
trace, finds it done. The first action always runs again, as its inputs may be others.
"""

from collections.abc import Collection

from wingbeat.core.action import Action
from wingbeat.core.ids import ROOT_ACTION, ActionId, RunId
from wingbeat.core.relation import Relation, RelationType
from wingbeat.errors import FailedPrecondition, InvalidArgument, NotFound
from wingbeat.store import actions, recovery, run_needs, signals
from wingbeat.store.database import Transaction
from wingbeat.store.run_needs import Until

FIELD = "run_spec.relation.related_to"


async def check(tx: Transaction, relation: Relation, force_rerun: Collection[str]) -> None:
    """Raises NotFound, FailedPrecondition: what is not over cannot be recovered, InvalidArgument for unknown names."""
    other = relation.run
    root = await actions.find(tx, ActionId(other, ROOT_ACTION))
    if root is None:
        raise _not_there(other)
    if relation.type is not RelationType.RECOVER:
        return
    if not root.phase.terminal:
        raise FailedPrecondition(
            f"{FIELD}: run {other.name!r} is {root.phase.name}: it can be recovered when it is over: abort it, or wait"
        )
    unknown = set(force_rerun) - await recovery.names(tx, other, force_rerun)
    if unknown:
        words = ", ".join(repr(name) for name in sorted(unknown))
        raise InvalidArgument(f"run_spec.recover.force_rerun_actions: run {other.name!r} has no actions {words}")


async def relate(tx: Transaction, root: Action, relation: Relation, force_rerun: Collection[str]) -> None:
    """The other run is kept until the end of the new one, that of `root`: its inputs may speak of the other's files.

    They may also speak of files of which the other's inputs spoke. A recovery shows what the other one has finished as
    its own and keeps it for as long as it is kept itself. Raises NotFound when the other one was pruned meanwhile.
    """
    until = Until.PRUNED if relation.type is RelationType.RECOVER else Until.END
    if not await run_needs.add(tx, root.id.run, relation.run, until=until):
        raise _not_there(relation.run)
    for source in await run_needs.sources(tx, relation.run):
        await run_needs.add(tx, root.id.run, source, until=Until.END)
    if relation.type is RelationType.RECOVER:
        await _recover(tx, root, relation, force_rerun)


async def _recover(tx: Transaction, root: Action, relation: Relation, force_rerun: Collection[str]) -> None:
    """All but the actions that run again."""
    await recovery.copy(tx, relation.run, root, besides=[ROOT_ACTION, *force_rerun])
    await signals.copy(tx, relation.run, root.id.run)


def _not_there(run: RunId) -> NotFound:
    return NotFound(f"{FIELD}: there is no run {run.name!r} in {run.project}/{run.domain}, or it was pruned")
