"""Runs that are over, for tests of how they go."""

from dataclasses import replace
from datetime import datetime

from tests.queued_runs import enqueue, root, root_of, task_spec
from wingbeat.core.action import Attempt, Phase, PhaseChange
from wingbeat.core.ids import ActionId, AttemptId
from wingbeat.core.launch import output_prefix
from wingbeat.operations import ending
from wingbeat.store import actions, events
from wingbeat.store.database import Transaction

BASE = "s3://wingbeat/p/development"


async def finish(tx: Transaction, *names: str, children: int = 0, spec: bytes | None = None) -> None:
    """Each has a root and children with an attempt and some events, all over now."""
    await enqueue(tx, *names, spec=spec or task_spec())
    for name in names:
        action = await root(tx, name)
        born = [replace(action, id=ActionId(action.id.run, f"c{n}"), parent="a0") for n in range(children)]
        await actions.insert(tx, [replace(child, phase=Phase.SUCCEEDED, ended_at=tx.now) for child in born])
        for each in (action, *born):
            await actions.save_attempt(tx, _attempt(each.id, tx.now))
            await events.record(tx, [(each.id, PhaseChange(1, Phase.RUNNING, tx.now, ""))])
        await ending.abort(tx, root_of(name), "over")


def _attempt(action: ActionId, at: datetime) -> Attempt:
    run = action.run
    attempt = AttemptId(action, 1)
    return Attempt(
        id=attempt,
        phase=Phase.SUCCEEDED,
        node="n1",
        token=1,
        output_prefix=output_prefix(f"{BASE}/{run.name}/", attempt),
        created_at=at,
        started_at=at,
        ended_at=at,
        failure=None,
        log_uri=None,
    )
