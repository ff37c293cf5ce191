"""What connectrpc believes of an HTTP client and should not: the size of its body, its headers, that it is still there.

Refusals are raised from `receive`, inside of connectrpc, so that each protocol is answered in its own form.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any

import structlog
from connectrpc.code import Code
from connectrpc.errors import ConnectError

from wingbeat.errors import WingbeatError
from wingbeat.rpc.errors import INTERNAL_ERROR, code_of

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

STRANGERS_BYTES = 64 * 1024
"""Of a body that are read before it is known who sends it."""
Admit = Callable[[Sequence[tuple[bytes, bytes]]], Awaitable[None]]
"""Whether a call with these headers is answered at all. Raises WingbeatError."""

GRPC_TIMEOUT = re.compile(rb"[0-9]{1,8}[HMSmun]")

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Guarded:
    """ASGI middleware around connectrpc's application."""

    def __init__(self, app: App, *, max_body_bytes: int, admit: Admit | None = None) -> None:
        """`admit` is asked before a large body is read; whether smaller ones are answered, others find out."""
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._admit = admit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _unreadable(scope)
        if refusal is not None:
            await _refuse(send, refusal)
            return
        client = _Client(receive, scope, max_body_bytes=self._max_body_bytes, admit=self._admit)
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

    def __init__(self, receive: Receive, scope: Scope, *, max_body_bytes: int, admit: Admit | None) -> None:
        self._receive = receive
        self._scope = scope
        self._max_body_bytes = max_body_bytes
        self._admit = admit
        self._declared = _declared_length(scope)
        self._received = 0
        self._call = asyncio.current_task()
        self.gone = False

    async def receive(self) -> MutableMapping[str, Any]:
        await self._check(self._declared)
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._leave()
        self._received += len(message.get("body", b""))
        await self._check(self._received)
        return message

    def _leave(self) -> None:
        self.gone = True
        if self._call is not None and self._call is not asyncio.current_task():
            self._call.cancel()

    async def _check(self, size: int) -> None:
        """Whether `size` bytes may be read of this client."""
        if size > self._max_body_bytes:
            raise ConnectError(Code.RESOURCE_EXHAUSTED, f"the request body is larger than {self._max_body_bytes} bytes")
        if size > STRANGERS_BYTES and self._admit is not None:
            admit, self._admit = self._admit, None
            try:
                await admit(self._scope["headers"])
            except WingbeatError as error:
                raise ConnectError(code_of(error) or Code.INTERNAL, str(error)) from error
            except Exception as error:
                log.exception("it is not known who calls")
                raise ConnectError(Code.INTERNAL, INTERNAL_ERROR) from error


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
