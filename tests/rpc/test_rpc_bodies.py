"""Bodies that are malformed, compressed, too large, or from a newer client."""

import asyncio
import gzip
import json
from contextlib import suppress

import httpx
import pytest
from connectrpc.errors import ConnectError
from flyteidl2.project import project_service_pb2 as project
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rpc.edge_services import (
    PROJECTS,
    RUNS,
    TRIGGERS,
    WATCH_BODY,
    WATCH_HEADERS,
    Edge,
    envelope,
    messages,
)
from wingbeat.rpc.codecs import JsonCodec, ProtoCodec

GET_PROJECT = f"{PROJECTS}/GetProject"
BODY = project.GetProjectRequest(id="p").SerializeToString()


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


async def test_proto_that_cannot_be_parsed_is_the_callers_mistake(edge: Edge) -> None:
    response = await edge.post_proto(GET_PROJECT, b"\xff\xff\xff")
    assert code(response) == (400, "invalid_argument")
    assert "flyteidl2.project.GetProjectRequest" in response.json()["message"]


@pytest.mark.parametrize(
    "body",
    [b"{", b"\xff", b"[]", b'{"id": 5}', b"[" * 100_000, b""],
    ids=["cut off", "not UTF-8", "a list", "wrong type", "deeply nested", "empty"],
)
async def test_json_that_cannot_be_parsed_is_the_callers_mistake(edge: Edge, body: bytes) -> None:
    response = await edge.http.post(GET_PROJECT, content=body, headers={"content-type": "application/json"})
    assert code(response) == (400, "invalid_argument")


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
@pytest.mark.parametrize("codec", [ProtoCodec(), JsonCodec()], ids=["proto", "json"])
def test_no_bytes_make_a_codec_raise_anything_else(codec: ProtoCodec | JsonCodec, data: bytes) -> None:
    with suppress(ConnectError):
        codec.decode(data, project.CreateProjectRequest())


async def test_json_fields_of_a_newer_client_are_ignored(edge: Edge) -> None:
    response = await edge.post_json(GET_PROJECT, {"id": "p", "fieldOfTheFuture": {"x": 1}})
    assert response.json() == {"project": {"id": "p"}}


async def test_a_malformed_stream_request_ends_the_stream_with_invalid_argument(edge: Edge) -> None:
    response = await edge.http.post(f"{RUNS}/WatchRuns", content=envelope(b"{"), headers=WATCH_HEADERS)
    assert messages(response.content)[-1]["error"]["code"] == "invalid_argument"


async def test_a_response_that_cannot_be_encoded_is_an_internal_error_without_details(edge: Edge) -> None:
    edge.projects.answer = "no message at all"
    response = await edge.post_proto(GET_PROJECT, BODY)
    assert response.json() == {"code": "internal", "message": "internal error"}


async def test_gzip_requests_are_read(edge: Edge) -> None:
    response = await edge.post_proto(GET_PROJECT, gzip.compress(BODY), content_encoding="gzip")
    assert project.GetProjectResponse.FromString(response.content).project.id == "p"


@pytest.mark.parametrize(
    "body",
    [b"not gzip", gzip.compress(BODY)[:-4], gzip.compress(BODY)[:12], gzip.compress(BODY) * 2],
    ids=["no gzip", "no end", "cut off", "twice"],
)
async def test_gzip_that_is_corrupt_is_the_callers_mistake(edge: Edge, body: bytes) -> None:
    assert code(await edge.post_proto(GET_PROJECT, body, content_encoding="gzip")) == (400, "invalid_argument")


async def test_a_small_body_cannot_inflate_into_a_large_one(edge: Edge) -> None:
    bomb = gzip.compress(bytes(64 << 20))
    assert len(bomb) < 100_000
    response = await edge.post_proto(GET_PROJECT, bomb, content_encoding="gzip")
    assert code(response) == (429, "resource_exhausted")


async def test_a_stream_request_cannot_inflate_either(edge: Edge) -> None:
    response = await edge.http.post(
        f"{RUNS}/WatchRuns",
        content=envelope(gzip.compress(bytes(8 << 20)), flags=1),
        headers={**WATCH_HEADERS, "connect-content-encoding": "gzip"},
    )
    assert messages(response.content)[-1]["error"]["code"] == "resource_exhausted"


async def test_an_unknown_compression_is_unimplemented(edge: Edge) -> None:
    assert code(await edge.post_proto(GET_PROJECT, BODY, content_encoding="br")) == (501, "unimplemented")


async def test_a_body_that_declares_too_much_is_refused_before_it_is_read(edge: Edge) -> None:
    reader, writer = await asyncio.open_connection(edge.address.host, edge.address.port)
    writer.write(
        f"POST {GET_PROJECT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/proto\r\n"
        "content-length: 999999999\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 429")
    writer.close()


async def test_a_streamed_body_is_refused_when_it_passes_the_limit(edge: Edge) -> None:
    sent = 0

    async def chunks():
        nonlocal sent
        while sent < 64 << 20:
            sent += 1 << 16
            yield bytes(1 << 16)

    response = await edge.http.post(GET_PROJECT, content=chunks(), headers={"content-type": "application/proto"})
    assert code(response) == (429, "resource_exhausted")
    assert "1048581 bytes" in response.json()["message"]


async def test_an_oversized_stream_request_is_refused_in_the_streams_own_form(edge: Edge) -> None:
    response = await edge.http.post(f"{RUNS}/WatchRuns", content=bytes(2 << 20), headers=WATCH_HEADERS)
    assert messages(response.content)[-1]["error"]["code"] == "resource_exhausted"


async def test_a_get_reads_the_message_from_the_query_where_nothing_changes(edge: Edge) -> None:
    query = {"encoding": "json", "message": json.dumps({"id": "p"}), "connect": "v1"}
    response = await edge.http.get(GET_PROJECT, params=query)
    assert response.json() == {"project": {"id": "p"}}


async def test_a_get_of_a_method_with_side_effects_is_not_allowed(edge: Edge) -> None:
    query = {"encoding": "json", "message": "{}"}
    assert (await edge.http.get(f"{PROJECTS}/CreateProject", params=query)).status_code == 405


@pytest.mark.parametrize("path", ["/flyteidl2.project.ProjectService/Nothing", "/flyteidl2.x.Y/Z", "/"])
async def test_what_is_not_served_is_not_found(edge: Edge, path: str) -> None:
    assert (await edge.post_proto(path, b"")).status_code == 404


async def test_a_method_that_is_not_written_says_what_is_missing(edge: Edge) -> None:
    response = await edge.post_json(f"{PROJECTS}/ListProjects", {})
    assert response.status_code == 501
    assert response.json()["message"] == "ProjectService/ListProjects is not implemented: projects are not listed"


async def test_a_stream_that_is_not_written_says_so_too(edge: Edge) -> None:
    response = await edge.http.post(
        f"{RUNS}/WatchGroups", content=envelope(b'{"startDate": "2026-01-01T00:00:00Z"}'), headers=WATCH_HEADERS
    )
    assert messages(response.content)[-1]["error"]["code"] == "invalid_argument"
    response = await edge.http.post(
        f"{RUNS}/WatchGroups",
        content=envelope(b'{"startDate": "2026-01-01T00:00:00Z", "projectId": {"name": "p"}}'),
        headers=WATCH_HEADERS,
    )
    assert messages(response.content)[-1]["error"] == {
        "code": "unimplemented",
        "message": "RunService/WatchGroups is not implemented: nobody has written it yet",
    }


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "application/grpc", "grpc-timeout": "soon"}, 501),
        ({"content-type": "application/grpc-web+proto", "grpc-timeout": "soon"}, 400),
        ({"content-type": "application/proto", "x-name": b"\xff"}, 400),
        ({"content-type": "application/proto", "connect-timeout-ms": "soon"}, 400),
        ({"content-type": "text/html"}, 415),
    ],
    ids=["gRPC over HTTP/1.1", "gRPC-Web time-out", "header not UTF-8", "Connect time-out", "unknown codec"],
)
async def test_heads_that_cannot_be_read_are_the_callers_mistake(
    edge: Edge, headers: dict[str, str | bytes], status: int
) -> None:
    raw = [(k.encode(), v if isinstance(v, bytes) else v.encode()) for k, v in headers.items()]
    response = await edge.http.post(GET_PROJECT, content=BODY, headers=raw)
    assert response.status_code == status
    assert b"unknown" not in response.content


async def test_a_watch_can_be_opened_and_its_body_is_one_envelope(edge: Edge) -> None:
    async with edge.http.stream("POST", f"{RUNS}/WatchRuns", content=WATCH_BODY, headers=WATCH_HEADERS) as response:
        assert response.headers["content-type"] == "application/connect+json"


async def test_services_share_one_server(edge: Edge) -> None:
    assert (await edge.post_json(f"{TRIGGERS}/ListTriggers", {"org": ""})).status_code == 200
