"""wingbeat.retention.v1.RetentionService as a client on the wire sees it."""

from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from google.protobuf.duration_pb2 import Duration

from tests.conftest import FakeClock
from tests.finished_runs import finish
from tests.listening import listening
from wingbeat._generated.retention.v1 import retention_pb2 as pb
from wingbeat._generated.retention.v1.retention_connect import RetentionServiceClient
from wingbeat.rpc import retention_service
from wingbeat.rpc.app import build
from wingbeat.rpc.draining import Draining
from wingbeat.rpc.retention_service import Retention
from wingbeat.rpc.service import broken_promises
from wingbeat.store.database import Database
from wingbeat.telemetry import Metrics

DAY = timedelta(days=1)
A_DAY = Duration(seconds=86400)


@pytest.fixture
async def client(database: Database) -> AsyncGenerator[RetentionServiceClient]:
    app = build([Retention(database)], draining=Draining(), metrics=Metrics())
    async with listening(app) as address, RetentionServiceClient(address.url) as client:
        yield client


async def steps(client: RetentionServiceClient, request: pb.PruneRunsRequest) -> list[pb.PruneRunsResponse]:
    found: list[pb.PruneRunsResponse] = []
    while not found or found[-1].token:
        found.append(await client.prune_runs(request))
        request.token = found[-1].token
    return found


def names(found: list[pb.PruneRunsResponse]) -> list[str]:
    return [run.name for step in found for run in step.runs]


def test_service_keeps_its_promises() -> None:
    assert broken_promises(Retention) == []


async def test_a_dry_run_shows_what_goes_then(
    client: RetentionServiceClient, database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention_service, "RUNS", 2)
    await database.write(lambda tx: finish(tx, "r1", "r2", "r3", children=1))
    clock.forward(2 * DAY)
    await database.write(lambda tx: finish(tx, "young"))
    shown = await steps(client, pb.PruneRunsRequest(older_than=A_DAY, dry_run=True))
    again = await steps(client, pb.PruneRunsRequest(older_than=A_DAY, dry_run=True, project="p"))
    done = await steps(client, pb.PruneRunsRequest(older_than=A_DAY, project="p", domain="development"))
    assert names(shown) == names(again) == names(done) == ["r1", "r2", "r3"]
    assert sum(step.actions for step in done) == 6
    assert (await client.get_removals(pb.GetRemovalsRequest())).runs == 3
    assert names(await steps(client, pb.PruneRunsRequest(older_than=A_DAY))) == []


async def test_what_stays_is_counted_by_its_reason(
    client: RetentionServiceClient, database: Database, clock: FakeClock
) -> None:
    await database.write(lambda tx: finish(tx, "r1"))
    await database.write(
        lambda tx: tx.execute(
            "INSERT INTO run_need VALUES ('p', 'development', 'r1', 'p', 'development', 'r2', 'pruned')"
        )
    )
    clock.forward(2 * DAY)
    (kept,) = [kept for step in await steps(client, pb.PruneRunsRequest(older_than=A_DAY)) for kept in step.kept]
    assert (kept.reason, kept.runs) == (pb.KEPT_REASON_NEEDED, 1)


@pytest.mark.parametrize(
    ("request_", "word"),
    [
        (pb.PruneRunsRequest(), "older_than"),
        (pb.PruneRunsRequest(older_than=Duration(seconds=599)), "0:10:00"),
        (pb.PruneRunsRequest(older_than=Duration(seconds=-86400)), "0:10:00"),
        (pb.PruneRunsRequest(older_than=Duration(seconds=315576000000)), "older_than"),
        (pb.PruneRunsRequest(older_than=Duration(seconds=2**62)), "older_than"),
        (pb.PruneRunsRequest(older_than=A_DAY, token="nonsense"), "token"),
        (pb.PruneRunsRequest(older_than=A_DAY, token="WzEsMiwzLDRd"), "token"),
        (pb.PruneRunsRequest(older_than=A_DAY, project="p" * 64), "project"),
    ],
    ids=["no age", "too young", "negative", "too old", "no time", "no token", "another list's token", "long project"],
)
async def test_a_wrong_request_is_told_what_is_wrong(
    client: RetentionServiceClient, request_: pb.PruneRunsRequest, word: str
) -> None:
    with pytest.raises(ConnectError, match=word) as refused:
        await client.prune_runs(request_)
    assert refused.value.code is Code.INVALID_ARGUMENT
