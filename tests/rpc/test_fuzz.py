"""Every method of every mounted service, with requests made from its descriptor: whatever comes, a caller's mistake is
answered as one, refused requests write nothing, nothing hangs and the connection lives.

`FUZZ_REQUESTS` is the number of requests for each method.
"""

import asyncio
import http.client
import json
import os
import random
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from connectrpc.method import MethodInfo
from flyteidl2.common import identifier_pb2
from flyteidl2.workflow import run_service_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tests.fake_executor import FakeExecutor
from tests.listening import listening
from tests.planting import DEFAULTS, DOMAINS, TASK, deployment, inputs, plant, spec
from tests.rpc.edge_services import envelope
from tests.rpc.fuzzing import Fuzzer
from wingbeat.config.settings import Settings
from wingbeat.operations.firing import Firer
from wingbeat.rpc.app import build
from wingbeat.rpc.draining import Draining
from wingbeat.rpc.identity import nobody
from wingbeat.rpc.service import promised
from wingbeat.server.services import SERVICES, services
from wingbeat.server.storage import open_storage
from wingbeat.store.database import Database, Transaction
from wingbeat.telemetry import Metrics
from wingbeat.wire import tasks as task_wire

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "20"))
WILDNESS = (0.0, 0.02, 0.1, 0.5)
STREAM_MS = 60
ANSWER_SECONDS = 15
END_OF_STREAM = 2
CALLERS_CODES = frozenset(
    {
        "invalid_argument",
        "not_found",
        "already_exists",
        "aborted",
        "failed_precondition",
        "permission_denied",
        "unauthenticated",
        "unimplemented",
        "resource_exhausted",
    }
)
PROGRAMMERS_WORDS = re.compile(
    r"Traceback|Exception|[A-Z][a-z]+Error\b|asyncpg|sqlite3|<class|<function| at 0x|psycopg"
)
RUN = identifier_pb2.RunIdentifier(project="birds", domain="development", name="r1")
KNOWN: Mapping[str, object] = {
    "project": "birds",
    "domain": "development",
    "organization": "",
    "org": "",
    "task_name": TASK.name,
    "version": TASK.version,
    "task_version": TASK.version,
    "revision": 1,
    "token": "",
    "limit": 10,
    "attempt": 1,
    "parent_action_name": "a0",
    "expression": "0 9 * * 1-5",
    "timezone": "Europe/Berlin",
    "native_url": "s3://wingbeat/x",
    "filename": "code.tgz",
    "content_md5": bytes(16),
}
NAMES: Mapping[str, str] = {
    "flyteidl2.common.RunIdentifier": "r1",
    "flyteidl2.common.ActionIdentifier": "a0",
    "flyteidl2.common.ProjectIdentifier": "birds",
    "flyteidl2.common.TriggerName": "daily",
    "flyteidl2.task.TaskIdentifier": TASK.name,
    "flyteidl2.task.TaskName": TASK.name,
}


def sensible(field: FieldDescriptor) -> object:
    if field.name == "name":
        return NAMES.get(field.full_name.removesuffix(".name"))
    known = KNOWN.get(field.name)
    same_kind = isinstance(known, int) == (field.cpp_type != FieldDescriptor.CPPTYPE_STRING)
    is_bytes = field.type == FieldDescriptor.TYPE_BYTES
    return known if known is not None and same_kind and is_bytes == isinstance(known, bytes) else None


@dataclass(frozen=True)
class Answer:
    code: str
    """"ok" for none."""
    message: str
    alive: bool


@dataclass
class Server:
    database: Database
    services: Sequence[object]
    connection: http.client.HTTPConnection
    blobs: Path

    async def unary(self, path: str, body: bytes, content_type: str = "application/proto") -> Answer:
        return await asyncio.to_thread(self._unary, path, body, content_type)

    async def stream(self, path: str, body: bytes) -> Answer:
        return await asyncio.to_thread(self._stream, path, body)

    async def contents(self) -> Mapping[str, object]:
        """Everything that is stored, by table; and the number of files."""

        async def body(tx: Transaction) -> Mapping[str, object]:
            return {table: sorted(map(_row, await tx.fetch(f"SELECT * FROM {table}"))) for table in await _tables(tx)}

        files = sum(1 for path in self.blobs.rglob("*") if path.is_file())
        return {**await self.database.read(body), "files": files}

    def _unary(self, path: str, body: bytes, content_type: str) -> Answer:
        response, content = self._post(path, body, {"content-type": content_type})
        if response.status == http.client.OK:
            return Answer("ok", "", self._alive())
        error = json.loads(content)
        return Answer(error["code"], error.get("message", ""), self._alive())

    def _stream(self, path: str, body: bytes) -> Answer:
        headers = {"content-type": "application/connect+proto", "connect-timeout-ms": str(STREAM_MS)}
        response, content = self._post(path, envelope(body), headers)
        assert response.status == http.client.OK, f"{response.status}: {content[:200]!r}"
        error = _end_of_stream(content).get("error", {"code": "ok"})
        return Answer(error["code"], error.get("message", ""), self._alive())

    def _post(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[http.client.HTTPResponse, bytes]:
        self.connection.request("POST", path, body=body, headers={"connect-protocol-version": "1", **headers})
        response = self.connection.getresponse()
        return response, response.read()

    def _alive(self) -> bool:
        """Whether the server has left the connection open."""
        return self.connection.sock is not None


@pytest.fixture
async def server(database: Database, tmp_path: Path) -> AsyncGenerator[Server]:
    settings = Settings(data=tmp_path)
    storage = await open_storage(settings, database, public_url="http://127.0.0.1:8080")
    node = cast("Any", SimpleNamespace(id="n1", executor=FakeExecutor()))
    mounted = services(settings, database, storage, node, Firer(DEFAULTS, DOMAINS), identify=nobody)
    await plant(database, spec(defaults={"a": 1}), deployment(given=inputs(a=2)))
    draining = Draining()
    app = build(mounted, draining=draining, metrics=Metrics())
    async with listening(app, on_stopping=draining.begin) as address:
        connection = http.client.HTTPConnection(address.host, address.port, timeout=ANSWER_SECONDS)
        server = Server(database, mounted, connection, tmp_path / "blobs")
        create = run_service_pb2.CreateRunRequest(run_id=RUN, task_id=task_wire.id_to_proto(TASK))
        created = await server.unary("/flyteidl2.workflow.RunService/CreateRun", create.SerializeToString())
        assert created.code == "ok", created.message
        yield server
        connection.close()


@pytest.mark.parametrize("service", [kind.__name__ for kind in SERVICES])
async def test_no_request_is_answered_with_anything_but_a_result_or_what_is_wrong_with_it(
    server: Server, service: str
) -> None:
    before = await server.contents()
    for path, method, streams in _methods(server, service):
        for number in range(REQUESTS):
            seed = f"{path} {number}"
            fuzzer = Fuzzer(seed, sensible, wildness=WILDNESS[number % len(WILDNESS)])
            request = fuzzer.message(method.input.DESCRIPTOR)
            body = request.SerializeToString()
            answer = await (server.stream(path, body) if streams else server.unary(path, body))
            after = await server.contents()
            _judge(answer, _told(seed, request, answer), streams=streams)
            if answer.code != "ok" or streams:
                assert after == before, _told(seed, request, answer)
            before = after


@pytest.mark.parametrize("service", [kind.__name__ for kind in SERVICES])
async def test_a_body_that_is_no_request_is_the_callers_mistake(server: Server, service: str) -> None:
    before = await server.contents()
    for path, method, streams in _methods(server, service):
        if streams:
            continue
        whole = Fuzzer(path, sensible, wildness=0).message(method.input.DESCRIPTOR).SerializeToString()
        for body in _broken(whole, random.Random(path)):
            answer = await server.unary(path, body)
            _judge(answer, f"{path} {body[:100]!r}: {answer}", streams=False)
            if answer.code != "ok":
                assert await server.contents() == before, f"{path} {body[:100]!r}"
            before = await server.contents()
        for text in (b"{", b"[]", b"\xff", b"[" * 50_000, b'{"id": {"id": {"id": []}}}'):
            answer = await server.unary(path, text, "application/json")
            _judge(answer, f"{path} {text[:100]!r}: {answer}", streams=False)


def _judge(answer: Answer, told: str, *, streams: bool) -> None:
    allowed = CALLERS_CODES | ({"ok", "deadline_exceeded"} if streams else {"ok"})
    assert answer.code in allowed, told
    assert not PROGRAMMERS_WORDS.search(answer.message), told
    assert answer.code == "ok" or answer.message, told
    assert answer.alive, told


def _methods(server: Server, service: str) -> Sequence[tuple[str, MethodInfo[Any, Any], bool]]:
    """Path and method, and whether it streams its answers."""
    mounted = next(each for each in server.services if type(each).__name__ == service)
    return [
        (path, endpoint.method, type(endpoint).__name__ == "EndpointServerStream")
        for path, endpoint in promised(mounted).items()
    ]


def _told(seed: str, request: Message, answer: Answer) -> str:
    return f"seed {seed!r} got {answer.code}: {answer.message}\n{str(request)[:3000]}"


def _broken(whole: bytes, rng: random.Random) -> Sequence[bytes]:
    return [
        b"\xff" * 7,
        whole[: len(whole) // 2],
        whole[:-1],
        whole + b"\x0a\xff\xff\xff\x7f",
        rng.randbytes(200),
        bytes(byte ^ 0x55 if rng.random() < 0.1 else byte for byte in whole),
    ]


def _end_of_stream(content: bytes) -> Mapping[str, Any]:
    while content:
        flags, length = content[0], int.from_bytes(content[1:5], "big")
        if flags & END_OF_STREAM:
            return json.loads(content[5 : 5 + length])
        content = content[5 + length :]
    raise AssertionError("the stream has no end")


async def _tables(tx: Transaction) -> Sequence[str]:
    if tx.for_update:
        rows = await tx.fetch("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    else:
        rows = await tx.fetch("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return [row["name"] for row in rows]


def _row(row: Any) -> str:
    return repr(tuple(row.values()) if hasattr(row, "values") else tuple(row))
