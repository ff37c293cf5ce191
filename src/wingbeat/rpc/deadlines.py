"""A call ends when its caller stops waiting: connectrpc reads Connect-Timeout-Ms and does not enforce it.

The clock interrupts only our waiting for a method, never a message that is being sent: a cancellation that
lands outside of the interceptor could not be turned into DEADLINE_EXCEEDED.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.request import RequestContext

from wingbeat.rpc.streams import closing

REQ = TypeVar("REQ")
RES = TypeVar("RES")

MILLISECONDS = 1000


class Deadlines:
    """Interceptor; gRPC's grpc-timeout arrives here as the same number."""

    async def intercept_unary(
        self,
        call_next: Callable[[REQ, RequestContext[REQ, RES]], Awaitable[RES]],
        request: REQ,
        ctx: RequestContext[REQ, RES],
    ) -> RES:
        timeout_ms = ctx.timeout_ms()
        if timeout_ms is None:
            return await call_next(request, ctx)
        return await _within(timeout_ms, call_next(request, ctx))

    def intercept_server_stream(
        self,
        call_next: Callable[[REQ, RequestContext[REQ, RES]], AsyncIterator[RES]],
        request: REQ,
        ctx: RequestContext[REQ, RES],
    ) -> AsyncIterator[RES]:
        stream = call_next(request, ctx)
        return stream if ctx.timeout_ms() is None else _until_deadline(stream, ctx)

    intercept_bidi_stream = intercept_server_stream


async def _until_deadline(messages: AsyncIterator[RES], ctx: RequestContext[REQ, RES]) -> AsyncIterator[RES]:
    async with closing(messages) as stream:
        while True:
            try:
                message = await _within(ctx.timeout_ms() or 0, anext(stream))
            except StopAsyncIteration:
                return
            yield message


async def _within(timeout_ms: float, answer: Awaitable[RES]) -> RES:
    deadline = asyncio.timeout(timeout_ms / MILLISECONDS)
    try:
        async with deadline:
            return await answer
    except (TimeoutError, ConnectError):
        # connectrpc makes a CANCELED of our cancellation where a method waits for its caller's next message.
        if not deadline.expired():
            raise
        raise ConnectError(Code.DEADLINE_EXCEEDED, "the caller's deadline passed") from None
