"""An executor in memory. Tests decide what becomes of each attempt, and when the executor fails or forgets."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime

from wingbeat.core.launch import ExecutionPhase, ExitReason, Launch, Status
from wingbeat.errors import Unavailable
from wingbeat.executors.base import LogChunk, Synced


class FakeExecutor:
    def __init__(self) -> None:
        self.launches: dict[str, Launch] = {}
        self.asked: list[str] = []
        """Every call of `launch`, the repeated ones included."""
        self.stopped: list[str] = []
        self.forgotten: list[str] = []
        self.statuses: dict[str, Status] = {}
        self.written: dict[str, list[LogChunk]] = {}
        self.away = False
        """Every call raises Unavailable."""
        self.loses_answers = False
        """A launch is accepted, and then raises Unavailable."""
        self._changed = asyncio.Condition()
        self._connection = 0

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def launch(self, launch: Launch) -> None:
        self._check()
        self.asked.append(launch.key)
        if launch.key not in self.launches:
            self.launches[launch.key] = launch
            await self.say(Status(launch.key, ExecutionPhase.PENDING))
        if self.loses_answers:
            raise Unavailable("the answer was lost")

    async def stop(self, key: str, reason: str) -> None:
        self._check()
        self.stopped.append(key)
        status = self.statuses.get(key)
        if status is not None and status.phase is not ExecutionPhase.EXITED:
            await self.exit(key, ExitReason.ABORTED)

    async def watch(self) -> AsyncIterator[Status | Synced]:
        self._check()
        connection, seen = self._connection, dict(self.statuses)
        for status in seen.values():
            yield status
        yield Synced()
        while True:
            async with self._changed:
                while connection == self._connection and not self.statuses.items() - seen.items():
                    await self._changed.wait()
                if connection != self._connection:
                    return
                new = [status for key, status in self.statuses.items() if seen.get(key) != status]
                seen = dict(self.statuses)
            for status in new:
                yield status

    async def status(self, keys: Sequence[str]) -> dict[str, Status | None]:
        self._check()
        return {key: self.statuses.get(key) for key in keys}

    async def logs(self, key: str, offset: int = 0, *, follow: bool = True) -> AsyncIterator[LogChunk | None]:
        self._check()
        sent = 0
        while key in self.statuses:
            ended = self.statuses[key].phase is ExecutionPhase.EXITED
            chunks = self.written.get(key, [])[sent:]
            sent += len(chunks)
            for chunk in chunks:
                skipped = min(max(offset - chunk.offset, 0), len(chunk.data))
                if skipped < len(chunk.data):
                    yield LogChunk(chunk.offset + skipped, chunk.data[skipped:], chunk.at)
            if ended or not follow:
                return
            if not chunks:
                yield None
                async with self._changed:
                    await self._changed.wait()

    async def forget(self, key: str) -> None:
        self._check()
        self.forgotten.append(key)
        self.statuses.pop(key, None)
        self.launches.pop(key, None)

    async def run(self, key: str, at: datetime | None = None) -> None:
        await self.say(replace(self.statuses[key], phase=ExecutionPhase.RUNNING, started_at=at))

    async def exit(self, key: str, reason: ExitReason = ExitReason.COMPLETED, **fields: object) -> None:
        known = self.statuses[key]
        await self.say(replace(known, phase=ExecutionPhase.EXITED, reason=reason, **fields))  # pyright: ignore

    async def write(self, key: str, data: bytes, at: datetime | None = None) -> None:
        chunks = self.written.setdefault(key, [])
        offset = chunks[-1].offset + len(chunks[-1].data) if chunks else 0
        async with self._changed:
            chunks.append(LogChunk(offset, data, at))
            self._changed.notify_all()

    async def say(self, status: Status) -> None:
        async with self._changed:
            self.statuses[status.key] = replace(status, rev=status.rev + 1)
            self._changed.notify_all()

    async def disconnect(self) -> None:
        """Every watch ends."""
        async with self._changed:
            self._connection += 1
            self._changed.notify_all()

    async def lose(self, key: str) -> None:
        """As if the machine's disk was gone."""
        del self.statuses[key], self.launches[key]

    def _check(self) -> None:
        if self.away:
            raise Unavailable("the executor is away")
