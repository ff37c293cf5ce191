"""Changes of runs become rows: all of one call in one transaction, in their order.

Only who keeps a run going may change it: what a process still says of a run that another one took is refused.
"""

from collections.abc import Sequence
from typing import assert_never

from wingbeat.compose.changes import (
    Change,
    NodeCompleted,
    NodeFailed,
    NodeSkipped,
    NodeStarted,
    RunCreated,
    RunFinished,
    RunPaused,
    RunTaken,
)
from wingbeat.compose.lease import Lease
from wingbeat.compose.process import is_gone
from wingbeat.errors import AlreadyExists, Conflict, FailedPrecondition, NotFound
from wingbeat.store.compose import nodes, owners, runs
from wingbeat.store.compose.runs import NewRun
from wingbeat.store.compose.transaction import Transaction


def record(tx: Transaction, changes: Sequence[Change], *, lease: Lease) -> None:
    """Raises Conflict for a run that another process keeps going, or that is not there; AlreadyExists for a new one
    that is there.
    """
    mine = {change.run_id for change in changes if _apply(tx, change, lease)}
    changed = dict.fromkeys(change.run_id for change in changes if not isinstance(change, RunCreated))
    unsure = [run_id for run_id in changed if run_id not in mine]
    lost = owners.taken_from(tx, unsure, owner=lease.owner) if unsure else None
    if lost:
        raise Conflict(f"run {lost!r} is not kept going by this process any more: what happens here does not count")


def take(tx: Transaction, run_id: str, *, lease: Lease) -> None:
    """Raises FailedPrecondition when it is completed, or while a process that is alive keeps it going; NotFound."""
    run = runs.get(tx, run_id)
    if run is None:
        raise NotFound(f"run {run_id!r} is not in this history")
    if run.status == "completed":
        raise FailedPrecondition(f"run {run_id!r} is completed: replay it to run it again")
    owner = owners.get(tx, run.owner) if run.owner else None
    if run.status == "running" and owner and not is_gone(owner, now=tx.now):
        where = "this process" if owner.owner == lease.owner else f"process {owner.process or owner.owner}"
        raise FailedPrecondition(f"run {run_id!r} is kept going by {where}: wait for its end, or pause it there")
    lease.hold(tx)
    owners.take(tx, run_id, owner=lease.owner)


def _apply(tx: Transaction, change: Change, lease: Lease) -> bool:
    """Whether the run is certainly this process's by this change."""
    match change:
        case RunCreated():
            lease.hold(tx)
            created = runs.create(tx, _new(change, owner=lease.owner))
            if not created and not change.again:
                raise AlreadyExists(_what_exists(tx, change.run_id))
            return created
        case RunTaken(run_id):
            take(tx, run_id, lease=lease)
            return True
        case RunPaused(run_id):
            runs.set_status(tx, run_id, "paused")
        case RunFinished(run_id, status, outputs_json, error):
            return runs.finish(tx, run_id, status=status, outputs_json=outputs_json, error=error, owner=lease.owner)
        case _:
            _apply_to_node(tx, change)
    return False


def _apply_to_node(tx: Transaction, change: NodeStarted | NodeCompleted | NodeFailed | NodeSkipped) -> None:
    match change:
        case NodeStarted(run_id, label, input_json, is_source, is_sink):
            nodes.start(tx, run_id, label, input_json=input_json, is_source=is_source, is_sink=is_sink)
        case NodeCompleted(run_id, label, output_json, edges):
            nodes.complete(tx, run_id, label, output_json=output_json, edges=edges)
        case NodeFailed(run_id, label, error):
            nodes.fail(tx, run_id, label, error=error)
        case NodeSkipped(run_id, label, output_json):
            nodes.skip(tx, run_id, label, output_json=output_json)
        case _:
            assert_never(change)


def _what_exists(tx: Transaction, run_id: str) -> str:
    """With what can be done instead."""
    run = runs.get(tx, run_id)
    if run is None:
        raise NotFound(f"run {run_id!r} is not in this history")
    owner = owners.get(tx, run.owner) if run.owner else None
    if run.status == "completed":
        advice = "is completed: replay it"
    elif run.status != "running" or owner is None or is_gone(owner, now=tx.now):
        advice = "has not completed: restart it"
    else:
        advice = "is going on: wait for its end"
    return f"run {run_id!r} exists and {advice}, or choose another run_id"


def _new(change: RunCreated, *, owner: str) -> NewRun:
    return NewRun(
        change.run_id,
        change.dag_nsref,
        change.source_inputs_json,
        owner=owner,
        parent_run_id=change.parent_run_id,
        initiated_by=change.initiated_by,
        trigger_name=change.trigger_name,
    )
