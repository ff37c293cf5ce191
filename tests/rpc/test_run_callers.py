"""The tokens of runs are good as long as their runs go on, and a moment longer."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.conftest import FakeClock
from tests.deployed import DEFAULTS, DOMAINS, TASK, deploy_task
from wingbeat.core.ids import ROOT_ACTION, ActionId, RunId, Scope
from wingbeat.errors import Unauthenticated
from wingbeat.operations import ending, runs
from wingbeat.operations.run_callers import CLOCKS_APART, GRACE
from wingbeat.operations.runs import RunRequest
from wingbeat.rpc.run_callers import ASK_AGAIN, RunCallers
from wingbeat.rpc.run_tokens import RunTokens
from wingbeat.store import pruning
from wingbeat.store.database import Database

RUN = RunId(TASK.project, TASK.domain, "r1")
SUBJECT = f"run:{RUN.project}/{RUN.domain}/r1"
MOMENT = timedelta(seconds=1)


def now() -> datetime:
    """PyJWT has a clock of its own."""
    return datetime.now(UTC)


TOKENS = RunTokens(b"s" * 32, now)


async def start(database: Database, name: str = "r1") -> None:
    request = RunRequest(scope=Scope(TASK.project, TASK.domain), wanted=TASK, name=name)
    await database.write(lambda tx: runs.create(tx, request, defaults=DEFAULTS, domains=DOMAINS, fresh_name="x"))


async def end(database: Database) -> None:
    await database.write(lambda tx: ending.abort(tx, ActionId(RUN, ROOT_ACTION), "enough"))


@pytest.fixture
async def callers(database: Database, clock: FakeClock) -> RunCallers:
    await deploy_task(database)
    await start(database)
    return RunCallers(database, TOKENS, clock)


async def test_a_run_that_is_over_is_heard_a_little_longer_and_then_no_more(
    callers: RunCallers, database: Database, clock: FakeClock
) -> None:
    token = TOKENS.issue(RUN)
    clock.forward(timedelta(days=20))
    assert await callers.subject(token) == SUBJECT
    await end(database)
    clock.forward(GRACE - MOMENT)
    assert await callers.subject(token) == SUBJECT
    clock.forward(ASK_AGAIN)
    with pytest.raises(Unauthenticated, match="bearer token of a run: run 'r1' is over in flytesnacks/development"):
        await callers.subject(token)


async def test_the_database_is_asked_now_and_then_and_not_for_every_call(
    callers: RunCallers, database: Database, clock: FakeClock
) -> None:
    token = TOKENS.issue(RUN)
    assert await callers.subject(token) == SUBJECT
    await database.close()
    clock.forward(ASK_AGAIN - MOMENT)
    assert await callers.subject(token) == SUBJECT


async def test_a_run_that_never_was_or_is_pruned_is_not_heard(callers: RunCallers, database: Database) -> None:
    await database.write(lambda tx: pruning.mark(tx, [RUN]))
    for run in (RUN, RunId(RUN.project, RUN.domain, "never")):
        with pytest.raises(Unauthenticated, match="is over"):
            await callers.subject(TOKENS.issue(run))


async def test_a_later_run_of_the_same_name_is_another_one(
    callers: RunCallers, database: Database, clock: FakeClock
) -> None:
    clock.forward(now() - clock() + CLOCKS_APART + timedelta(minutes=1))
    await start(database, "r2")
    with pytest.raises(Unauthenticated, match="is over"):
        await callers.subject(TOKENS.issue(RunId(RUN.project, RUN.domain, "r2")))
