"""Requests and answers of the plain HTTP edges: bodies stream both ways, and nothing here knows what they mean."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from wingbeat.errors import InvalidArgument, ResourceExhausted

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_DIGITS = 18
"""Of a number that a client has written: any that long fits in 63 bits."""


class ClientGoneError(Exception):
    """The client hung up before its request was whole; nobody is left to answer."""


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    """Decoded, with the mount point."""
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    """Names in lower case; values of repeated headers joined by ", "; bytes as latin-1, like ASGI's."""
    receive: Receive = field(repr=False)

    @property
    def parameters(self) -> Mapping[str, str]:
        """The query with the last of repeated names."""
        return dict(self.query)

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The body as it comes; raise ClientGoneError if it stops before its end."""
        length = self.content_length
        size = 0
        more = True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            chunk = message.get("body", b"")
            size += len(chunk)
            if chunk:
                yield chunk
            more = message.get("more_body", False)
        if length is not None and size != length:
            raise ClientGoneError

    async def body(self, *, limit: int) -> bytes:
        """The whole body; raise ResourceExhausted if it has more than `limit` bytes."""
        data = bytearray()
        async for chunk in self.chunks():
            data += chunk
            if len(data) > limit:
                raise ResourceExhausted(f"the body is larger than {limit} bytes")
        return bytes(data)

    async def disconnected(self) -> None:
        """Return when the client has hung up; for requests whose body is of no interest."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    @property
    def content_length(self) -> int | None:
        text = self.headers.get("content-length")
        if text is None:
            return None
        length = whole_number(text)
        if length is None:
            raise InvalidArgument(f"Content-Length is {text[:MAX_DIGITS]!r}, not a number of bytes")
        return length


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""


def parsed(scope: Scope, receive: Receive) -> Request:
    """Raise InvalidArgument for a path or query that is not UTF-8."""
    try:
        path = unquote(bytes(scope["raw_path"]).decode("ascii"), errors="strict")
        query = parse_qsl(bytes(scope["query_string"]).decode("ascii"), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError as error:
        raise InvalidArgument("the path and the query must be UTF-8, percent-encoded") from error
    return Request(scope["method"], path, tuple(query), _headers(scope["headers"]), receive)


def whole_number(text: str) -> int | None:
    """What a client has written as a number of bytes, parts or things; None when it is none, or larger than any."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else None


async def send_response(send: Send, response: Response, *, head: bool = False) -> None:
    """`head` sends the headers alone; Content-Length is the body's unless the headers say it."""
    headers = {"content-length": str(len(response.body))} | dict(response.headers)
    await send_start(send, response.status, headers)
    await send({"type": "http.response.body", "body": b"" if head else response.body})


async def send_start(send: Send, status: int, headers: Mapping[str, str]) -> None:
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})


def text_response(status: int, line: str, headers: Mapping[str, str] | None = None) -> Response:
    plain = {"content-type": "text/plain; charset=utf-8"}
    return Response(status, plain | dict(headers or {}), f"{line}\n".encode())


def _headers(pairs: Iterable[tuple[bytes, bytes]]) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
