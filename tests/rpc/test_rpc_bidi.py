"""Streams in both directions pass the same interceptors as the others."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pyqwest
import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.request import RequestContext
from flyteidl2.workflow import internal_run_service_pb2 as internal
from flyteidl2.workflow.internal_run_service_connect import InternalRunService, InternalRunServiceClient

from tests.listening import Address, listening
from wingbeat.rpc.app import build
from wingbeat.rpc.draining import Draining
from wingbeat.telemetry import Metrics

GOOD = internal.RecordActionEventStreamRequest(
    nonce=7,
    request={
        "event": {
            "id": {"run": {"project": "p", "domain": "d", "name": "r"}, "name": "a0"},
            "phase": 1,
            "updated_time": {"seconds": 1},
        }
    },
)
BAD = internal.RecordActionEventStreamRequest(nonce=8)
SECONDS = 5


class Recorder(InternalRunService):
    async def record_action_event_stream(
        self,
        request: AsyncIterator[internal.RecordActionEventStreamRequest],
        ctx: RequestContext[Any, Any],
    ) -> AsyncIterator[internal.RecordActionEventStreamResponse]:
        async for message in request:
            yield internal.RecordActionEventStreamResponse(nonce=message.nonce)


@pytest.fixture
async def recording() -> AsyncGenerator[Address]:
    draining = Draining()
    app = build([Recorder()], draining=draining, metrics=Metrics())
    async with asyncio.timeout(SECONDS), listening(app, on_stopping=draining.begin) as address:
        yield address


def client(address: Address) -> InternalRunServiceClient:
    http = pyqwest.Client(pyqwest.HTTPTransport(http_version=pyqwest.HTTPVersion.HTTP2))
    return InternalRunServiceClient(address.url, http_client=http)


async def good_and_then(last: internal.RecordActionEventStreamRequest | None) -> AsyncIterator[Any]:
    yield GOOD
    if last is None:
        await asyncio.Event().wait()
    yield last


async def test_messages_are_answered_until_one_is_refused(recording: Address) -> None:
    stream = client(recording).record_action_event_stream(good_and_then(BAD))
    assert (await anext(stream)).nonce == 7
    with pytest.raises(ConnectError, match=r"request: value is required") as raised:
        await anext(stream)
    assert raised.value.code is Code.INVALID_ARGUMENT


async def test_a_server_that_stops_ends_them_too(recording: Address) -> None:
    stream = client(recording).record_action_event_stream(good_and_then(None))
    assert (await anext(stream)).nonce == 7
    recording.listener.stop()
    with pytest.raises(ConnectError) as raised:
        await anext(stream)
    assert raised.value.code is Code.UNAVAILABLE
