"""The log of one attempt, line by line, wherever it is: still with its node, or in the blob store."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from wingbeat.blobs.store import Blobs
from wingbeat.core.action import Attempt
from wingbeat.core.ids import ActionId
from wingbeat.core.launch import key_of
from wingbeat.core.log_index import MAX_BYTES, LogIndex
from wingbeat.errors import FailedPrecondition, Unavailable
from wingbeat.executors.base import Executor
from wingbeat.operations import current
from wingbeat.rpc.pulse import PULSE_SECONDS, with_pulse
from wingbeat.rpc.streams import closing
from wingbeat.store import actions as stored
from wingbeat.store.changes import run_topic
from wingbeat.store.database import Database, Transaction

MAX_LINES = 1000
"""In one batch."""
LONGEST_LINE = 1024 * 1024
"""Bytes; a longer one is cut into several."""
PATIENCE = timedelta(minutes=1)
"""How long a node may take to bring the log of an attempt that is over."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Line:
    message: str
    """Ends with a newline."""
    at: datetime | None
    """When it was written, as well as anybody knows."""


Batch = Sequence[Line]
_SIGN_OF_LIFE: Batch = ()


class LogTail:
    def __init__(
        self, database: Database, blobs: Blobs, executor: Executor, *, node: str, pulse_seconds: float = PULSE_SECONDS
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._executor = executor
        self._node = node
        self._pulse_seconds = pulse_seconds

    async def follow(self, action: ActionId, number: int) -> AsyncGenerator[Batch]:
        """The log of attempt `number`, 0 meaning the latest, until the attempt is over and all was read.

        Waits for an attempt that has not begun. Raises NotFound: no such action.
        """
        lines = _Lines()
        with self._database.changes.subscribe(run_topic(action.run)) as changed:
            seen = await self._look(action, number)
            while True:
                async with closing(self._read(seen, lines)) as batches:
                    async for batch in batches:
                        yield batch
                if seen.complete:
                    break
                before, seen = seen, await self._look(action, seen.number)
                if seen == before and not await changed.wait(self._pulse_seconds):
                    yield _SIGN_OF_LIFE
        for batch in _batches(lines.rest()):
            yield batch

    async def _look(self, action: ActionId, number: int) -> "_Seen":
        async def body(tx: Transaction) -> _Seen:
            found = await current.get(tx, action)
            wanted = number or found.attempts
            # What was made by no node has no log: a trace, whose lines are in the log of its parent.
            made = (item for item in await stored.attempts(tx, action) if item.node)
            attempt = next((item for item in made if item.id.number == wanted), None)
            ended_at = attempt.ended_at if attempt else found.ended_at
            return _Seen(
                number=wanted,
                attempt=attempt,
                over=ended_at is not None or found.phase.terminal or found.attempts > wanted,
                late=ended_at is not None and tx.now - ended_at >= PATIENCE,
            )

        return await self._database.read(body)

    async def _read(self, seen: "_Seen", lines: "_Lines") -> AsyncGenerator[Batch]:
        """What there is to read now; what it leaves, because something is away, is read the next time."""
        async with closing(with_pulse(self._chunks(seen, lines.offset), seconds=self._pulse_seconds)) as chunks:
            try:
                async for chunk in chunks:
                    for batch in [_SIGN_OF_LIFE] if chunk is None else _batches(lines.add(chunk)):
                        yield batch
            except Unavailable as error:
                log.warning("log not readable now", error=str(error))

    def _chunks(self, seen: "_Seen", offset: int) -> AsyncIterator["_Chunk"]:
        match seen.attempt:
            case Attempt(log_uri=str(log_uri)):
                return self._kept_chunks(log_uri, offset)
            case Attempt(id=attempt, node=node) if node == self._node:
                return self._live_chunks(key_of(attempt), offset)
            case _:
                return _nothing()

    async def _live_chunks(self, key: str, offset: int) -> AsyncGenerator["_Chunk"]:
        async with closing(self._executor.logs(key, offset, follow=True)) as chunks:
            async for chunk in chunks:
                if chunk is not None:
                    index = LogIndex()
                    index.note(chunk.offset, chunk.at)
                    yield _Chunk(chunk.data, index)

    async def _kept_chunks(self, log_uri: str, offset: int) -> AsyncGenerator["_Chunk"]:
        index = await self._index(log_uri)
        async with closing(self._blobs.read(log_uri, start=offset)) as chunks:
            async for data in chunks:
                yield _Chunk(data, index)

    async def _index(self, log_uri: str) -> LogIndex:
        """Without moments, where what is kept is none of ours."""
        try:
            return LogIndex.decoded(await self._blobs.get(LogIndex.uri(log_uri), at_most=MAX_BYTES))
        except FailedPrecondition:
            return LogIndex()


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the database says of an attempt."""

    number: int
    attempt: Attempt | None
    over: bool
    """Nothing more will be written."""
    late: bool
    """It was over long ago: a log that is not kept by now never will be."""

    @property
    def complete(self) -> bool:
        """Whether what can be read now is all there will ever be."""
        return self.late or (self.over if self.attempt is None else self.attempt.log_uri is not None)


@dataclass(frozen=True, slots=True)
class _Chunk:
    data: bytes
    index: LogIndex


class _Lines:
    """Cuts a stream of bytes into lines."""

    def __init__(self) -> None:
        self.offset = 0
        """How many bytes were added."""
        self._begun = b""
        self._begun_at: datetime | None = None

    def add(self, chunk: _Chunk) -> list[Line]:
        """The lines that end in `chunk`."""
        pieces = (self._begun + chunk.data).split(b"\n")
        start = self.offset - len(self._begun)
        self.offset += len(chunk.data)
        *whole, self._begun = pieces
        lines: list[Line] = []
        for number, piece in enumerate(whole):
            at = chunk.index.at(start)
            lines.append(_line(piece, at or self._begun_at if number == 0 else at))
            start += len(piece) + 1
        self._begun_at = chunk.index.at(start) or self._begun_at
        return [*lines, *self.rest()] if len(self._begun) >= LONGEST_LINE else lines

    def rest(self) -> list[Line]:
        """What has no newline, as the last line."""
        begun, self._begun = self._begun, b""
        return [_line(begun, self._begun_at)] if begun else []


async def _nothing() -> AsyncGenerator[_Chunk]:
    return
    yield


def _line(data: bytes, at: datetime | None) -> Line:
    return Line(data.removesuffix(b"\r").decode(errors="replace") + "\n", at)


def _batches(lines: Sequence[Line]) -> list[Batch]:
    return [lines[start : start + MAX_LINES] for start in range(0, len(lines), MAX_LINES)]
