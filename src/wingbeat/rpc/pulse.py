"""A sign of life in streams that are quiet: the SDK gives a stream up that says nothing for 30 seconds."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

from wingbeat.rpc.streams import closing

T = TypeVar("T")

PULSE_SECONDS = 10.0


async def with_pulse(stream: AsyncIterator[T], *, seconds: float = PULSE_SECONDS) -> AsyncGenerator[T | None]:
    """What `stream` gives, and None each time it has given nothing for `seconds`."""
    following: asyncio.Future[T] | None = None
    async with closing(stream):
        try:
            while True:
                following = following or asyncio.ensure_future(anext(stream))
                done, _ = await asyncio.wait({following}, timeout=seconds)
                if not done:
                    yield None
                    continue
                try:
                    item = following.result()
                except StopAsyncIteration:
                    return
                following = None
                yield item
        finally:
            # A stream cannot be closed while it is asked for its next item.
            if following is not None:
                following.cancel()
                await asyncio.wait({following})
