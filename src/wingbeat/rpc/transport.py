"""What connectrpc believes of an HTTP client and should not: the size of its body, its headers, that it is still there.

Refusals are raised from `receive`, inside of connectrpc, so that each protocol is answered in its own form.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from connectrpc.code import Code
from connectrpc.errors import ConnectError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

GRPC_TIMEOUT = re.compile(rb"[0-9]{1,8}[HMSmun]")


class Guarded:
    """ASGI middleware around connectrpc's application."""

    def __init__(self, app: App, *, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _unreadable(scope)
        if refusal is not None:
            await _refuse(send, refusal)
            return
        client = _Client(receive, max_body_bytes=self._max_body_bytes, declared=_declared_length(scope))
        try:
            await self._app(scope, client.receive, send)
        except (asyncio.CancelledError, ConnectError):
            if not client.gone:
                raise


class _Client:
    """The far end of one request.

    connectrpc listens for a client that goes away and looks at what it heard when the method next yields: an idle
    stream would live for ever. So the moment it hears, the task that runs the method is cancelled.
    """

    def __init__(self, receive: Receive, *, max_body_bytes: int, declared: int) -> None:
        self._receive = receive
        self._max_body_bytes = max_body_bytes
        self._declared = declared
        self._received = 0
        self._call = asyncio.current_task()
        self.gone = False

    async def receive(self) -> MutableMapping[str, Any]:
        self._refuse_above_limit(self._declared)
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._leave()
        self._received += len(message.get("body", b""))
        self._refuse_above_limit(self._received)
        return message

    def _leave(self) -> None:
        self.gone = True
        if self._call is not None and self._call is not asyncio.current_task():
            self._call.cancel()

    def _refuse_above_limit(self, size: int) -> None:
        if size > self._max_body_bytes:
            raise ConnectError(Code.RESOURCE_EXHAUSTED, f"the request body is larger than {self._max_body_bytes} bytes")


def _headers(scope: Scope) -> Iterable[tuple[bytes, bytes]]:
    return scope["headers"]


def _declared_length(scope: Scope) -> int:
    for name, value in _headers(scope):
        if name == b"content-length":
            return int(value)
    return 0


def _unreadable(scope: Scope) -> ConnectError | None:
    """Why connectrpc could not read the request's head; it would answer UNKNOWN with a Python error's text."""
    try:
        scope["query_string"].decode()
        for name, value in _headers(scope):
            name.decode()
            value.decode()
            if name == b"content-length" and not value.isdigit():
                return ConnectError(Code.INVALID_ARGUMENT, f"content-length is not a number: {value.decode()}")
            if name == b"grpc-timeout" and not GRPC_TIMEOUT.fullmatch(value):
                return ConnectError(Code.INVALID_ARGUMENT, f"grpc-timeout is not a duration: {value.decode()}")
            if name == b"content-type" and _needs_trailers(value) and not _can_send_trailers(scope):
                return ConnectError(Code.UNIMPLEMENTED, "gRPC needs HTTP/2: use it, Connect or gRPC-Web")
    except UnicodeDecodeError:
        return ConnectError(Code.INVALID_ARGUMENT, "headers and query must be UTF-8")
    return None


def _needs_trailers(content_type: bytes) -> bool:
    return content_type == b"application/grpc" or content_type.startswith(b"application/grpc+")


def _can_send_trailers(scope: Scope) -> bool:
    return "http.response.trailers" in scope.get("extensions", {})


async def _refuse(send: Send, error: ConnectError) -> None:
    status = 501 if error.code is Code.UNIMPLEMENTED else 400
    body = json.dumps({"code": error.code.value, "message": error.message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
