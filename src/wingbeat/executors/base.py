"""The Executor protocol: what the control plane asks of a place where actions can run.

The control plane owns queueing, retries, phases, time-outs and what an outcome means; an executor owns placement,
process life, limits and logs. Every call is idempotent by key, so that either side may crash and ask again.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from wingbeat.core.launch import Launch, Status


@dataclass(frozen=True, slots=True)
class Synced:
    """Sent once by `watch` after every known key was replayed."""


@dataclass(frozen=True, slots=True)
class LogChunk:
    """A piece of an attempt's log: whole lines unless the log has ended or a line is very long."""

    offset: int
    """Byte offset of `data` in the log."""
    data: bytes
    at: datetime | None
    """When it was written, to within the executor's index."""


class Executor(Protocol):
    async def start(self) -> None:
        """Connect; never touches running work. Raises StartError."""
        ...

    async def close(self) -> None:
        """Disconnect; running work goes on."""
        ...

    async def launch(self, launch: Launch) -> None:
        """Returns once the launch is accepted durably; a known key is left alone. Raises Unavailable."""
        ...

    async def stop(self, key: str, reason: str) -> None:
        """Ask for an end: SIGTERM, the launch's grace, SIGKILL. An unknown or finished key is fine."""
        ...

    def watch(self) -> AsyncIterator[Status | Synced]:
        """Level-triggered: replays every known key, then `Synced`, then changes. Ends when the connection does."""
        ...

    async def status(self, keys: Sequence[str]) -> dict[str, Status | None]:
        """None: never heard of it."""
        ...

    def logs(self, key: str, offset: int = 0, *, follow: bool = True) -> AsyncIterator[LogChunk | None]:
        """The log from a byte offset; with `follow` it ends when the attempt has ended and all was read.

        None is a sign of life while nothing is written. An unknown key has an empty log.
        """
        ...

    async def forget(self, key: str) -> None:
        """The outcome is stored: remove what is kept of a finished attempt. Idempotent."""
        ...
