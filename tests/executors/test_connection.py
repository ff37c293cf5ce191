"""A connection to the agent that is gone says so, and in one way only."""

import asyncio
from typing import Any

import pytest

from wingbeat.executors.local.connection import Connection


class ClosedWriter:
    """As uvloop leaves it when the other side was killed, before the reader has heard of it."""

    def write(self, data: bytes) -> None:
        raise RuntimeError("the handler is closed")

    def is_closing(self) -> bool:
        return True

    def close(self) -> None: ...


async def test_a_call_on_a_closed_connection_is_a_lost_connection() -> None:
    writer: Any = ClosedWriter()
    connection = Connection(asyncio.StreamReader(), writer)
    with pytest.raises(ConnectionResetError):
        await connection.call("hello")
    connection.close()
