"""Health, metrics and routing, through the ASGI interface."""

import asyncio

import httpx
import pytest

from wingbeat.errors import Unavailable
from wingbeat.http.asgi import App, Message
from wingbeat.http.health import Check, Readiness, alive
from wingbeat.http.metrics import Exposition
from wingbeat.http.router import Router
from wingbeat.telemetry import Metrics


async def ask(app: App, path: str = "/", method: str = "GET") -> httpx.Response:
    transport = httpx.ASGITransport(app)  # pyright: ignore[reportArgumentType]
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.request(method, path)


async def fine() -> None: ...


async def away() -> None:
    raise Unavailable("no connection to the database")


async def broken() -> None:
    raise ValueError("postgres://user:secret@host")


async def silent() -> None:
    await asyncio.Event().wait()


async def test_a_live_process_is_alive() -> None:
    assert (await ask(alive)).status_code == 200


@pytest.mark.parametrize(
    ("checks", "status", "text"),
    [
        ({}, 200, "OK"),
        ({"database": fine, "blobs": fine}, 200, "OK"),
        ({"database": fine, "blobs": away, "agent": broken}, 503, "blobs: no connection to the database"),
        ({"database": broken}, 503, "database: failed"),
        ({"database": silent}, 503, "database: no answer within 0.02 s"),
    ],
    ids=["nothing to check", "all fine", "the first failure", "an unexpected failure", "no answer"],
)
async def test_readiness_is_the_first_check_that_fails(checks: dict[str, Check], status: int, text: str) -> None:
    response = await ask(Readiness(checks, seconds=0.02))
    assert (response.status_code, response.text) == (status, f"{text}\n")


@pytest.mark.parametrize(
    "app", [alive, Readiness({}), Exposition(Metrics().registry)], ids=["alive", "ready", "metrics"]
)
async def test_probes_are_only_read(app: App) -> None:
    assert (await ask(app, method="POST")).status_code == 405
    head = await ask(app, method="HEAD")
    assert (head.status_code, head.content) == (200, b"")


async def test_metrics_are_written_down_for_prometheus() -> None:
    metrics = Metrics()
    metrics.rpc_calls.labels("S", "M", "ok").inc()
    response = await ask(Exposition(metrics.registry))
    assert 'wingbeat_rpc_calls_total{code="ok",method="M",service="S"} 1.0' in response.text
    assert response.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("path", "status"),
    [("/healthz", 200), ("/healthz/deeper", 200), ("/healthzz", 404), ("/", 404), ("//healthz", 404)],
)
async def test_the_first_segment_decides_who_answers(path: str, status: int) -> None:
    assert (await ask(Router({"healthz": alive}), path)).status_code == status


@pytest.mark.parametrize("target", ["*", "healthz", "localhost:80", "http://localhost/healthz", ""])
async def test_what_is_no_path_is_nowhere(target: str) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("nothing to read")

    await Router({"healthz": alive})({"method": "OPTIONS", "path": target}, receive, send)
    assert sent[0]["status"] == 404


async def test_the_rest_can_be_answered_by_one_part() -> None:
    assert (await ask(Router({}, otherwise=alive), "/runs/r1")).status_code == 200
