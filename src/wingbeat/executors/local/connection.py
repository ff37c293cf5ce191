"""One connection to the agent: commands that run at the same time, or the stream of a watch."""

import asyncio
import itertools
from collections.abc import AsyncGenerator
from pathlib import Path

from wingbeat import errors
from wingbeat.executors.local import protocol
from wingbeat.executors.local.protocol import Message

_ERRORS: dict[str, type[errors.WingbeatError]] = {
    kind.__name__: kind for kind in (errors.FailedPrecondition, errors.InvalidArgument, errors.Unavailable)
}


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._receiving = asyncio.create_task(self._receive())

    @classmethod
    async def open(cls, socket: Path) -> "Connection":
        """Raises OSError when nobody listens."""
        return cls(*await asyncio.open_unix_connection(str(socket), limit=protocol.LINE_LIMIT))

    async def lost(self) -> None:
        """Returns when the agent has hung up."""
        await asyncio.shield(self._receiving)

    async def call(self, command: str, **arguments: object) -> object:
        """Raises ConnectionError when the agent hangs up first, else what the agent raised."""
        if self._receiving.done() or self._writer.is_closing():
            raise ConnectionResetError("the agent has hung up")
        number = next(self._ids)
        answered = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(protocol.encode({"id": number, "command": command, **arguments}))
            await self._writer.drain()
            answer = await answered
        finally:
            del self._waiting[number]
        if "error" in answer:
            raise _ERRORS.get(answer["error"], errors.Unavailable)(answer["message"])
        return answer["result"]

    def close(self) -> None:
        self._receiving.cancel()
        self._writer.close()

    async def _receive(self) -> None:
        while message := await protocol.receive(self._reader):
            answered = self._waiting.get(message["id"])
            if answered is not None and not answered.done():
                answered.set_result(message)
        for answered in self._waiting.values():
            if not answered.done():
                answered.set_exception(ConnectionResetError("the agent has hung up"))


async def watch(socket: Path) -> AsyncGenerator[Message]:
    """What the agent tells a watcher, on a connection of its own; ends with it. Raises OSError when nobody listens."""
    reader, writer = await asyncio.open_unix_connection(str(socket), limit=protocol.LINE_LIMIT)
    try:
        writer.write(protocol.encode({"id": 0, "command": "watch"}))
        while message := await protocol.receive(reader):
            yield message
    finally:
        writer.close()
