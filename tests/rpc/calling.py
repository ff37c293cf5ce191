"""Call services through the whole ASGI application, as a client on the wire does."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import httpx
from google.protobuf.message import Message

from wingbeat.rpc.app import build
from wingbeat.rpc.draining import Draining
from wingbeat.telemetry import Metrics

M = TypeVar("M", bound=Message)


class RpcError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


@dataclass(frozen=True)
class Client:
    http: httpx.AsyncClient

    async def call(self, path: str, request: Message, answer: type[M]) -> M:
        """`path` is `package.Service/Method` below flyteidl2, or whole for a service of ours. Raises RpcError."""
        response = await self.http.post(
            f"/{path}" if path.startswith("wingbeat.") else f"/flyteidl2.{path}",
            content=request.SerializeToString(),
            headers={"content-type": "application/proto", "connect-protocol-version": "1"},
        )
        if response.status_code != 200:
            error = response.json()
            raise RpcError(error["code"], error.get("message", ""))
        return answer.FromString(response.content)


@asynccontextmanager
async def serving(services: Sequence[object]) -> AsyncGenerator[Client]:
    app = build(services, draining=Draining(), metrics=Metrics())
    transport = httpx.ASGITransport(app=cast("Any", app))
    async with httpx.AsyncClient(transport=transport, base_url="http://wingbeat") as http:
        yield Client(http)
