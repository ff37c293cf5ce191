"""Who calls, by a bearer token: checked before anything else, then told to the services as a proxy would tell them.

The header that tells them is ours alone: what a client sends under its name is thrown away.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

from connectrpc.request import RequestContext

from wingbeat.errors import Unauthenticated
from wingbeat.rpc.streams import closing

REQ = TypeVar("REQ")
RES = TypeVar("RES")

SUBJECT_HEADER = "x-wingbeat-subject"
TOKEN_HEADERS = ("authorization", "proxy-authorization")
"""The SDK sends the second where it has no TLS; the first wins."""
SCHEME = "bearer"

Verify = Callable[[str], Awaitable[str]]
"""The subject of a token. Raises Unauthenticated."""
ValuesOf = Callable[[str], Sequence[str]]
"""Of a header of the call."""


class Bearer:
    """Interceptor. A call without a token is nobody's, or refused where one is `required`."""

    def __init__(self, verify: Verify, *, required: bool = False) -> None:
        self._verify = verify
        self._required = required

    async def intercept_unary(
        self,
        call_next: Callable[[REQ, RequestContext[REQ, RES]], Awaitable[RES]],
        request: REQ,
        ctx: RequestContext[REQ, RES],
    ) -> RES:
        await self._authenticate(ctx)
        return await call_next(request, ctx)

    async def intercept_server_stream(
        self,
        call_next: Callable[[REQ, RequestContext[REQ, RES]], AsyncIterator[RES]],
        request: REQ,
        ctx: RequestContext[REQ, RES],
    ) -> AsyncIterator[RES]:
        await self._authenticate(ctx)
        async with closing(call_next(request, ctx)) as stream:
            async for message in stream:
                yield message

    intercept_bidi_stream = intercept_server_stream

    async def admit(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Raises what a call with these headers will be refused with."""
        await self._subject(lambda name: [value.decode() for key, value in headers if key == name.encode()])

    async def _authenticate(self, ctx: RequestContext[Any, Any]) -> None:
        headers = ctx.request_headers()
        headers.pop(SUBJECT_HEADER, None)
        subject = await self._subject(headers.getall)
        if subject is not None:
            headers[SUBJECT_HEADER] = subject

    async def _subject(self, values_of: ValuesOf) -> str | None:
        token = token_in(values_of)
        if token is not None:
            return await self._verify(token)
        if self._required:
            raise Unauthenticated(f"a bearer token is needed, in header {' or '.join(TOKEN_HEADERS)}")
        return None


def token_in(values_of: ValuesOf) -> str | None:
    """The token that a call carries. Raises Unauthenticated: it carries several."""
    for name in TOKEN_HEADERS:
        values = values_of(name)
        if len(values) > 1:
            raise Unauthenticated(f"header {name!r} is there {len(values)} times")
        scheme, _, token = (values[0] if values else "").strip().partition(" ")
        if scheme.lower() == SCHEME:
            return token.strip()
    return None
