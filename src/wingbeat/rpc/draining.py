"""When the server stops, every stream ends with UNAVAILABLE: the SDK connects again.

Never CANCELED, which makes the SDK stop watching for good, and never nothing, which makes the server wait
for streams that have no end.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from connectrpc.errors import ConnectError
from connectrpc.request import RequestContext

from wingbeat.errors import Unavailable
from wingbeat.rpc.streams import closing

REQ = TypeVar("REQ")
RES = TypeVar("RES")


class Draining:
    """Interceptor of streams, and the switch that ends them."""

    def __init__(self) -> None:
        self._begun = False
        self._waits: set[asyncio.Timeout] = set()

    @property
    def begun(self) -> bool:
        return self._begun

    def begin(self) -> None:
        """End every stream now, and each new one at its start. The second call does nothing.

        To be called in the thread of the event loop.
        """
        if self._begun:
            return
        self._begun = True
        now = asyncio.get_running_loop().time()
        for wait in self._waits:
            wait.reschedule(now)

    async def intercept_server_stream(
        self,
        call_next: Callable[[REQ, RequestContext[REQ, RES]], AsyncIterator[RES]],
        request: REQ,
        ctx: RequestContext[REQ, RES],
    ) -> AsyncIterator[RES]:
        async with closing(call_next(request, ctx)) as stream:
            while True:
                try:
                    message = await self._next(stream)
                except StopAsyncIteration:
                    return
                yield message

    intercept_bidi_stream = intercept_server_stream

    async def _next(self, stream: AsyncIterator[RES]) -> RES:
        if self._begun:
            raise _stopping()
        wait = asyncio.timeout(None)
        try:
            async with wait:
                self._waits.add(wait)
                return await anext(stream)
        except (TimeoutError, ConnectError):
            # connectrpc makes a CANCELED of our cancellation where a method waits for its caller's next message.
            if not wait.expired():
                raise
            raise _stopping() from None
        finally:
            self._waits.discard(wait)


def _stopping() -> Unavailable:
    return Unavailable("the server is stopping: connect again")
