"""What a caller sees of an error, and what it never sees."""

import pytest
import structlog
from connectrpc.code import Code
from connectrpc.errors import ConnectError

from tests.rpc.edge_services import PROJECTS, Edge
from wingbeat import errors
from wingbeat.rpc.errors import CODES, code_of

KINDS = [kind for kind in errors.WingbeatError.__subclasses__() if kind is not errors.StartError]
GET_PROJECT = f"{PROJECTS}/GetProject"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_each_kind_has_its_code_and_keeps_its_text(edge: Edge, kind: type[errors.WingbeatError]) -> None:
    edge.projects.raises = kind("project 'p' is a secretary's")
    response = await edge.post_json(GET_PROJECT, {"id": "p"})
    assert response.json() == {"code": CODES[kind].value, "message": "project 'p' is a secretary's"}


async def test_a_narrower_kind_has_the_code_of_its_parent() -> None:
    class NoSuchRun(errors.NotFound): ...

    assert code_of(NoSuchRun()) is Code.NOT_FOUND


@pytest.mark.parametrize(
    "error",
    [ValueError("SELECT secret FROM users"), errors.StartError("/etc/secret"), TimeoutError("secret")],
    ids=["unknown", "kind that no caller can cause", "time-out of the method's own"],
)
async def test_what_is_unknown_is_logged_and_reaches_the_caller_without_its_text(edge: Edge, error: Exception) -> None:
    edge.projects.raises = error
    with structlog.testing.capture_logs() as logs:
        response = await edge.post_json(GET_PROJECT, {"id": "p"}, headers={"x-request-id": "r-17"})
    assert response.status_code == 500
    assert response.json() == {"code": "internal", "message": "internal error"}
    assert response.headers["x-request-id"] == "r-17"
    assert [(entry["request_id"], entry["method"], entry["exc_info"]) for entry in logs] == [
        ("r-17", "GetProject", error)
    ]


async def test_a_failed_call_without_a_request_id_is_given_one(edge: Edge) -> None:
    edge.projects.raises = KeyError("secret")
    assert (await edge.post_json(GET_PROJECT, {"id": "p"})).headers["x-request-id"]


async def test_a_stream_that_fails_unexpectedly_does_not_leak_either(edge: Edge) -> None:
    edge.runs.raises = ValueError("SELECT secret FROM users")
    first, end = await edge.watch()
    assert first == {}
    assert end["error"] == {"code": "internal", "message": "internal error"}


async def test_a_stream_ends_with_the_code_of_our_error(edge: Edge) -> None:
    edge.runs.raises = errors.NotFound("no such run")
    assert (await edge.watch())[-1]["error"] == {"code": "not_found", "message": "no such run"}


async def test_an_error_that_is_a_connect_error_already_passes(edge: Edge) -> None:
    edge.projects.raises = ConnectError(Code.OUT_OF_RANGE, "too far")
    response = await edge.post_json(GET_PROJECT, {"id": "p"})
    assert response.json() == {"code": "out_of_range", "message": "too far"}


async def test_calls_are_counted_by_code(edge: Edge) -> None:
    await edge.post_json(GET_PROJECT, {"id": "p"})
    edge.projects.raises = errors.NotFound("no")
    await edge.post_json(GET_PROJECT, {"id": "p"})
    labels = {"service": "flyteidl2.project.ProjectService", "method": "GetProject"}
    registry = edge.metrics.registry
    assert registry.get_sample_value("wingbeat_rpc_calls_total", {**labels, "code": "ok"}) == 1
    assert registry.get_sample_value("wingbeat_rpc_calls_total", {**labels, "code": "not_found"}) == 1
    assert registry.get_sample_value("wingbeat_rpc_seconds_count", {**labels, "code": "ok"}) == 1
