"""The local executor: the client of an agent that it starts when there is none and finds again after any crash."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from wingbeat.core.launch import Launch, Status
from wingbeat.errors import StartError, Unavailable
from wingbeat.executors.base import LogChunk, Synced
from wingbeat.executors.local import protocol
from wingbeat.executors.local.action_dir import ActionDir
from wingbeat.executors.local.home import AgentHome
from wingbeat.executors.local.link import Link
from wingbeat.executors.local.log import LogReader

_AGENT_IDLE_LIMIT = 600.0
_LOG_POLL = 0.07
_SIGN_OF_LIFE = 5.0


class LocalExecutor:
    """An Executor whose actions are processes of this machine."""

    def __init__(
        self,
        directory: Path,
        *,
        warm: bool = True,
        shared_env: Mapping[str, str] | None = None,
        agent_idle_limit: float = _AGENT_IDLE_LIMIT,
    ) -> None:
        """`directory` belongs to the executor and its agent.

        `warm`: `a0` is forked from a process that has imported the SDK. `shared_env`: variables that all launches will
        have; a process for them is made ready ahead. `agent_idle_limit`: seconds an agent without client or work lives.
        """
        self._home = AgentHome(directory.absolute())
        self._link = Link(self._home, idle_limit=agent_idle_limit)
        self._warm = warm
        self._shared_env = dict(shared_env or {})
        self._preparing: asyncio.Task[object] | None = None

    async def start(self) -> None:
        try:
            await self._link.open()
        except (OSError, Unavailable) as error:
            raise StartError(f"the local executor cannot use {self._home.path}: {error}") from error
        if self._warm and self._preparing is None:
            self._preparing = asyncio.create_task(self._prepare())

    async def close(self) -> None:
        if self._preparing is not None:
            self._preparing.cancel()
            await asyncio.wait([self._preparing])
            self._preparing = None
        await self._link.close()

    async def end_agent(self) -> bool:
        """End the agent unless an attempt is unfinished, and close this executor. Was it ended?"""
        ended = bool(await self._link.call("end", even_if_busy=False))
        await self.close()
        return ended

    async def launch(self, launch: Launch) -> None:
        await self._link.call("launch", launch=protocol.launch_to_message(launch), warm=self._warm)

    async def stop(self, key: str, reason: str) -> None:
        await self._link.call("stop", key=key, reason=reason)

    async def watch(self) -> AsyncIterator[Status | Synced]:
        async with contextlib.aclosing(self._link.watch()) as messages:
            async for message in messages:
                yield protocol.status_from_message(message["status"]) if "status" in message else Synced()

    async def status(self, keys: Sequence[str]) -> dict[str, Status | None]:
        known: Any = await self._link.call("status", keys=list(keys))
        statuses = {status["key"]: protocol.status_from_message(status) for status in known}
        return {key: statuses.get(key) for key in keys}

    async def logs(self, key: str, offset: int = 0, *, follow: bool = True) -> AsyncIterator[LogChunk | None]:
        reader = LogReader(ActionDir.of(self._home.actions, key), offset)
        quiet_since = time.monotonic()
        try:
            while True:
                chunk = await asyncio.to_thread(reader.next_chunk)
                if chunk is not None:
                    yield chunk
                    quiet_since = time.monotonic()
                elif not follow or reader.finished():
                    return
                else:
                    await asyncio.sleep(_LOG_POLL)
                if time.monotonic() - quiet_since >= _SIGN_OF_LIFE:
                    yield None
                    quiet_since = time.monotonic()
        finally:
            reader.close()

    async def forget(self, key: str) -> None:
        await self._link.call("forget", key=key)

    async def _prepare(self) -> None:
        # Only a head start: a launch would start the process too.
        with contextlib.suppress(Unavailable):
            await self._link.call("prepare", env=self._shared_env)
