"""Streams end when their client goes away, and when the server stops."""

import asyncio
import gc

import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.workflow import run_service_pb2 as run
from flyteidl2.workflow.run_service_connect import RunServiceClient

from tests.rpc.edge_services import RUNS, WATCH_BODY, Edge
from wingbeat.rpc.draining import Draining

REQUEST = run.WatchRunsRequest(org="o")
SECONDS = 5


@pytest.mark.parametrize("every", [None, 0.001], ids=["idle", "busy"])
@pytest.mark.parametrize("first", [0, 1], ids=["before its first message", "after its first message"])
async def test_a_client_that_goes_away_ends_the_method(
    edge: Edge, every: float | None, first: int, caplog: pytest.LogCaptureFixture
) -> None:
    gc.collect()  # what earlier tests left unasked complains now
    caplog.clear()
    edge.runs.every, edge.runs.first = every, first
    _, writer = await asyncio.open_connection(edge.address.host, edge.address.port)
    writer.write(
        f"POST {RUNS}/WatchRuns HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/connect+json\r\n"
        f"content-length: {len(WATCH_BODY)}\r\n\r\n".encode()
        + WATCH_BODY
    )
    async with asyncio.timeout(SECONDS):
        await edge.runs.opened.wait()
        writer.close()
        await edge.runs.closed.wait()
    await edge.post_json("/flyteidl2.project.ProjectService/GetProject", {"id": "p"})
    assert not caplog.records, "a client that goes away is no error"
    labels = {"service": "flyteidl2.workflow.RunService", "method": "WatchRuns"}
    assert edge.metrics.registry.get_sample_value("wingbeat_rpc_streams", labels) == 0


@pytest.mark.parametrize("every", [None, 0.001], ids=["idle", "busy"])
async def test_a_server_that_stops_ends_streams_with_unavailable(edge: Edge, every: float | None) -> None:
    edge.runs.every = every
    async with asyncio.timeout(SECONDS):
        watching = asyncio.create_task(edge.watch())
        await edge.runs.opened.wait()
        edge.address.listener.stop()
        assert (await watching)[-1]["error"] == {
            "code": "unavailable",
            "message": "the server is stopping: connect again",
        }
        await edge.runs.closed.wait()
        await edge.address.served


async def test_a_stream_that_is_opened_while_the_server_stops_is_refused(edge: Edge) -> None:
    edge.draining.begin()
    (end,) = await edge.watch()
    assert end["error"]["code"] == "unavailable"
    assert not edge.runs.opened.is_set()


async def test_calls_in_flight_are_answered_while_the_server_stops(edge: Edge) -> None:
    edge.projects.sleeps = 0.2
    call = asyncio.create_task(edge.post_json("/flyteidl2.project.ProjectService/GetProject", {"id": "p"}))
    async with asyncio.timeout(SECONDS):
        await edge.projects.asked.wait()
        edge.address.listener.stop()
        assert (await call).status_code == 200


async def test_beginning_to_drain_twice_changes_nothing() -> None:
    draining = Draining()
    draining.begin()
    draining.begin()
    assert draining.begun


async def test_the_stock_client_sees_messages_and_the_end(edge: Edge) -> None:
    client = RunServiceClient(edge.address.url)
    stream = client.watch_runs(REQUEST)
    assert await anext(stream) == run.WatchRunsResponse()
    edge.address.listener.stop()
    with pytest.raises(ConnectError) as raised:
        await anext(stream)
    assert raised.value.code is Code.UNAVAILABLE
