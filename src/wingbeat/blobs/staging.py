"""A file that nobody sees until it is whole: written beside the blobs, then renamed to its key."""

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO, Protocol

from wingbeat.blobs.threads import in_thread

WRITE_SIZE = 1 << 20
"""Bytes collected before a thread writes them: one hop per MiB, and never much more than that in memory."""


class Digest(Protocol):
    """A running checksum, as hashlib's objects are."""

    def update(self, data: bytes, /) -> None: ...


class Staged:
    """Bytes on their way in. `digests` see every byte, in the writing thread."""

    def __init__(self, path: Path, *, digests: Sequence[Digest] = ()) -> None:
        self.path = path
        self.size = 0
        self.is_released = False
        self._file: BinaryIO | None = None
        self._digests = digests
        self._waiting: list[bytes] = []
        self._waiting_size = 0

    async def write(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self._waiting.append(chunk)
        self._waiting_size += len(chunk)
        if self._waiting_size >= WRITE_SIZE:
            await self.settle()

    async def settle(self) -> None:
        """The digests have seen everything that was written so far."""
        await in_thread(self._flush)

    def seal(self, *, fsync: bool) -> Path:
        """Blocks. The whole file, on the disk if `fsync`, for the caller to rename; then call `release`."""
        file = self._flush()
        file.flush()
        if fsync:
            os.fsync(file.fileno())
        file.close()
        return self.path

    def release(self) -> None:
        """The file has another name by now: nothing is left to discard."""
        self.is_released = True

    def discard(self) -> None:
        """Blocks."""
        if self._file is not None:
            with suppress(OSError):  # closing writes what is buffered, and the disk may be full
                self._file.close()
        self.path.unlink(missing_ok=True)

    def _flush(self) -> BinaryIO:
        data = b"".join(self._waiting)
        self._waiting.clear()
        self._waiting_size = 0
        if self._file is None:
            self._file = self.path.open("ab")
        self._file.write(data)
        for digest in self._digests:
            digest.update(data)
        return self._file


@asynccontextmanager
async def staged(folder: Path, *, digests: Sequence[Digest] = ()) -> AsyncGenerator[Staged]:
    """A new file in `folder`; it is removed on leaving unless it was renamed to somewhere else."""
    file = Staged(folder / token_hex(16), digests=digests)
    try:
        yield file
    finally:
        if not file.is_released:
            await in_thread(file.discard)
