"""A file that nobody sees until it is whole: written beside the blobs, then renamed to its key."""

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
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

    def __init__(self, path: Path, file: BinaryIO, *, digests: Sequence[Digest] = ()) -> None:
        self.path = path
        self.size = 0
        self._file = file
        self._digests = digests
        self._waiting: list[bytes] = []
        self._waiting_size = 0

    async def write(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self._waiting.append(chunk)
        self._waiting_size += len(chunk)
        if self._waiting_size >= WRITE_SIZE:
            await in_thread(self._flush)

    async def finish(self, *, fsync: bool) -> None:
        """Bring the last bytes to the file (and to the disk if `fsync`); the digests are complete afterwards."""
        await in_thread(self._finish, fsync)

    def _flush(self) -> None:
        data = b"".join(self._waiting)
        self._waiting.clear()
        self._waiting_size = 0
        self._file.write(data)
        for digest in self._digests:
            digest.update(data)

    def _finish(self, fsync: bool) -> None:
        self._flush()
        self._file.flush()
        if fsync:
            os.fsync(self._file.fileno())


@asynccontextmanager
async def staged(folder: Path, *, digests: Sequence[Digest] = ()) -> AsyncGenerator[Staged]:
    """A new file in `folder`; it is removed on leaving unless it was renamed to somewhere else."""
    path = folder / token_hex(16)
    file = await in_thread(path.open, "xb")
    try:
        yield Staged(path, file, digests=digests)
    finally:
        await in_thread(_discard, file, path)


def _discard(file: BinaryIO, path: Path) -> None:
    try:
        file.close()
    finally:
        path.unlink(missing_ok=True)
