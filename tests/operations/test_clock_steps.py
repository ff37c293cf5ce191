"""A clock that steps back while actions go on: they end all the same, and no length of time is below zero."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flyteidl2.common import identifier_pb2

from tests.conftest import FakeClock
from tests.queued_runs import enqueue, root, root_of, task_spec
from wingbeat.core.action import ErrorKind, Failure, Phase, Success
from wingbeat.core.ids import ActionId, AttemptId
from wingbeat.core.retry import RetryPolicy
from wingbeat.operations import actions, ending
from wingbeat.operations.actions import NO_RETRIES, Claim
from wingbeat.rpc.run_service import details
from wingbeat.store import actions as stored
from wingbeat.store import queue
from wingbeat.store.database import Database, Transaction

HOUR = timedelta(hours=1)
CHILD = ActionId(root_of("r").run, "c")
ERROR = Failure("ValueError", ErrorKind.USER, "no", retryable=True)

End = Callable[[Transaction, Claim], Coroutine[Any, Any, object]]
ENDS: Mapping[str, End] = {
    "a success": lambda tx, claim: actions.finished(
        tx, claim.id, claim.token, Success(), retries=NO_RETRIES, chance=0, at=tx.now + 2 * HOUR
    ),
    "a failure": lambda tx, claim: actions.finished(tx, claim.id, claim.token, ERROR, retries=NO_RETRIES, chance=0),
    "an abort": lambda tx, claim: ending.abort(tx, claim.action.id, "enough"),
    "an abort of a retry": lambda tx, claim: _abort_of_retry(tx, claim),
}


async def _abort_of_retry(tx: Transaction, claim: Claim) -> None:
    await actions.finished(tx, claim.id, claim.token, ERROR, retries=RetryPolicy(1), chance=0)
    await ending.abort(tx, claim.action.id, "enough")


async def begin(tx: Transaction) -> Claim:
    """A root that runs, with a child that waits."""
    await enqueue(tx, "r", spec=task_spec(retries=1))
    (claimed,) = await actions.claim(tx, "n1", 1)
    assert await actions.started(tx, claimed.id, claimed.token, at=tx.now)
    await stored.insert(tx, [replace(await root(tx, "r"), id=CHILD, parent="a0", phase=Phase.QUEUED, version=1)])
    await queue.add(tx, [queue.Entry(AttemptId(CHILD, 1), 0, "", None, tx.now, parent="a0")])
    return claimed


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
async def test_what_ends_before_it_began_has_lasted_no_time(database: Database, clock: FakeClock, end: End) -> None:
    claimed = await database.write(begin)
    clock.forward(-HOUR)
    await database.write(lambda tx: end(tx, claimed))
    for action_id in (root_of("r"), CHILD):
        named = identifier_pb2.ActionIdentifier(name=action_id.name)
        found = await database.read(lambda tx, action_id=action_id: stored.find(tx, action_id))
        assert found is not None
        assert found.phase.terminal
        assert (found.duration_ms, found.ended_at) == (0, found.created_at)
        shown = await database.read(lambda tx, found=found, named=named: details.of_action(tx, found, named))
        assert shown.status.duration_ms == 0
        for attempt in shown.attempts:
            assert attempt.end_time.ToDatetime() >= attempt.start_time.ToDatetime()
