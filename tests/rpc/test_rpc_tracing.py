"""One span per RPC, a child of the caller's."""

import httpx
import pytest

pytest.importorskip("opentelemetry.sdk")
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.rpc.edge_services import PROJECTS, RUNS, WATCH_BODY, WATCH_HEADERS, Projects, Runs
from wingbeat.errors import NotFound
from wingbeat.rpc.app import build
from wingbeat.rpc.draining import Draining
from wingbeat.telemetry import Metrics

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_spans_carry_service_method_code_and_parent() -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    projects, runs = Projects(), Runs(raises=NotFound("no run"))
    app = build([projects, runs], draining=Draining(), metrics=Metrics(), traces=provider)
    transport = httpx.ASGITransport(app)  # pyright: ignore[reportArgumentType]
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        await client.post(f"{PROJECTS}/GetProject", json={"id": "p"}, headers={"traceparent": PARENT})
        await client.post(f"{RUNS}/WatchRuns", content=WATCH_BODY, headers=WATCH_HEADERS)
    unary, stream = exporter.get_finished_spans()
    assert unary.name == "flyteidl2.project.ProjectService/GetProject"
    assert unary.attributes == {
        "rpc.system": "connect_rpc",
        "rpc.service": "flyteidl2.project.ProjectService",
        "rpc.method": "GetProject",
    }
    assert unary.parent is not None
    assert f"{unary.parent.span_id:x}" == "b7ad6b7169203331"
    assert stream.attributes is not None
    assert stream.attributes["rpc.connect_rpc.error_code"] == "not_found"
    assert not stream.status.is_ok
