"""Tiny services that misbehave on request, and what clients need to talk to them."""

import asyncio
import json
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import httpx
from connectrpc.request import RequestContext
from flyteidl2.project import project_service_pb2 as project
from flyteidl2.project.project_service_connect import ProjectService
from flyteidl2.trigger import trigger_service_pb2 as trigger
from flyteidl2.trigger.trigger_service_connect import TriggerService
from flyteidl2.workflow import run_service_pb2 as run
from flyteidl2.workflow.run_service_connect import RunService

from tests.listening import Address, listening
from wingbeat.rpc.app import build
from wingbeat.rpc.draining import Draining
from wingbeat.telemetry import Metrics

PROJECTS = "/flyteidl2.project.ProjectService"
TRIGGERS = "/flyteidl2.trigger.TriggerService"
RUNS = "/flyteidl2.workflow.RunService"

Ctx = RequestContext[Any, Any]


class Projects(ProjectService):
    NOT_YET: ClassVar[Mapping[str, str]] = {
        "UpdateProject": "projects cannot be changed",
        "ListProjects": "projects are not listed",
    }

    def __init__(self) -> None:
        self.raises: BaseException | None = None
        self.sleeps = 0.0
        self.answer: Any = None
        self.asked = asyncio.Event()

    async def create_project(self, request: project.CreateProjectRequest, ctx: Ctx) -> project.CreateProjectResponse:
        return project.CreateProjectResponse()

    async def get_project(self, request: project.GetProjectRequest, ctx: Ctx) -> project.GetProjectResponse:
        self.asked.set()
        if self.raises is not None:
            raise self.raises
        await asyncio.sleep(self.sleeps)
        if self.answer is not None:
            return self.answer
        return project.GetProjectResponse(project=project.Project(id=request.id))


class Triggers(TriggerService):
    async def deploy_trigger(self, request: trigger.DeployTriggerRequest, ctx: Ctx) -> trigger.DeployTriggerResponse:
        return trigger.DeployTriggerResponse()

    async def list_triggers(self, request: trigger.ListTriggersRequest, ctx: Ctx) -> trigger.ListTriggersResponse:
        return trigger.ListTriggersResponse()

    async def update_triggers(self, request: trigger.UpdateTriggersRequest, ctx: Ctx) -> trigger.UpdateTriggersResponse:
        return trigger.UpdateTriggersResponse()


@dataclass
class Runs(RunService):
    """`watch_runs` sends `first` messages, then one every `every` seconds or, without, none."""

    first: int = 1
    every: float | None = None
    raises: Exception | None = None
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def watch_runs(self, request: run.WatchRunsRequest, ctx: Ctx) -> AsyncIterator[run.WatchRunsResponse]:
        try:
            for _ in range(self.first):
                yield run.WatchRunsResponse()
            self.opened.set()
            if self.raises is not None:
                raise self.raises
            if self.every is None:
                await asyncio.Event().wait()
            while True:
                await asyncio.sleep(self.every or 0)
                yield run.WatchRunsResponse()
        finally:
            self.closed.set()

    async def watch_cluster_events(
        self, request: run.WatchClusterEventsRequest, ctx: Ctx
    ) -> AsyncIterator[run.WatchClusterEventsResponse]:
        yield run.WatchClusterEventsResponse()


@dataclass
class Edge:
    projects: Projects = field(default_factory=Projects)
    triggers: Triggers = field(default_factory=Triggers)
    runs: Runs = field(default_factory=Runs)
    draining: Draining = field(default_factory=Draining)
    metrics: Metrics = field(default_factory=Metrics)
    address: Address = field(init=False)
    http: httpx.AsyncClient = field(init=False)

    async def post_json(self, path: str, body: object, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return await self.http.post(path, json=body, headers=headers)

    async def post_proto(self, path: str, body: bytes, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post(path, content=body, headers={"content-type": "application/proto", **named})

    async def watch(self, headers: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """All messages of a WatchRuns stream until it ends, as JSON; the last is the end of the stream."""
        response = await self.http.post(
            f"{RUNS}/WatchRuns",
            content=WATCH_BODY,
            headers={**WATCH_HEADERS, **(headers or {})},
        )
        assert response.status_code == 200
        return messages(response.content)


WATCH_HEADERS = {"content-type": "application/connect+json"}


def envelope(payload: bytes, flags: int = 0) -> bytes:
    return struct.pack(">BI", flags, len(payload)) + payload


WATCH_BODY = envelope(json.dumps({"projectId": {"name": "p"}}).encode())


def messages(content: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while content:
        _, length = struct.unpack(">BI", content[:5])
        found.append(json.loads(content[5 : 5 + length]))
        content = content[5 + length :]
    return found


@asynccontextmanager
async def running_edge(edge: Edge, *, max_message_bytes: int = 1 << 20) -> AsyncGenerator[Edge]:
    app = build(
        [edge.projects, edge.triggers, edge.runs],
        draining=edge.draining,
        metrics=edge.metrics,
        max_message_bytes=max_message_bytes,
    )
    async with (
        listening(app, on_stopping=edge.draining.begin) as edge.address,
        httpx.AsyncClient(base_url=edge.address.url, timeout=10, verify=False) as edge.http,
    ):
        yield edge
