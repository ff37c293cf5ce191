"""Blobs as plain files below a directory. What was acknowledged is whole, and on the disk unless `fsync` is off."""

import errno
import os
import shutil
import stat
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from wingbeat.blobs import keys, walk
from wingbeat.blobs.blob import Blob, Page
from wingbeat.blobs.staging import Digest, Staged, staged
from wingbeat.blobs.threads import in_thread
from wingbeat.errors import AlreadyExists, Conflict, FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted

READ_SIZE = 1 << 18
"""Bytes read per hop to a thread, and the most a reader holds."""
PAGE_SIZE = 1000
PUBLISH_ATTEMPTS = 10
"""A delete may prune the folder a put has just made; the put makes it again."""


class OpenBlob:
    """A blob being read: it stays what it was even when the key is written again or deleted meanwhile."""

    def __init__(self, blob: Blob, file: BinaryIO) -> None:
        self.blob = blob
        self._file = file

    async def read(self, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """The bytes from `start` up to, not including, `end`, in pieces of at most READ_SIZE."""
        end = self.blob.size if end is None else min(end, self.blob.size)
        while start < end:
            chunk = await in_thread(os.pread, self._file.fileno(), min(READ_SIZE, end - start), start)
            if not chunk:
                raise FailedPrecondition(f"blob {self.blob.key!r} was cut short while it was read")
            start += len(chunk)
            yield chunk


class Directory:
    """Keys map to paths one to one, so a key cannot be both a blob and the folder of another blob."""

    def __init__(self, root: Path, *, fsync: bool = True) -> None:
        """Make `root`, for nobody else, if it is missing; raise OSError if that or writing below it is not possible."""
        self.root = root.absolute()
        self.staging = self.root / walk.HIDDEN / "staging"
        self.uploads = self.root / walk.HIDDEN / "multipart"
        self.fsync = fsync
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.staging, self.uploads):
            folder.mkdir(parents=True, exist_ok=True)

    def stage(self, *, digests: Sequence[Digest] = ()) -> AbstractAsyncContextManager[Staged]:
        """Somewhere to write bytes that `publish` turns into a blob; forgotten otherwise."""
        return staged(self.staging, digests=digests)

    async def publish(self, source: Staged, key: str, *, overwrite: bool = True) -> Blob:
        """Make staged bytes the blob `key`, at once; raise AlreadyExists if it exists and `overwrite` is false."""
        return await in_thread(self._publish, source, self.path(key), key, overwrite=overwrite)

    async def put(self, key: str, data: bytes, *, overwrite: bool = True) -> Blob:
        async def once() -> AsyncIterator[bytes]:
            yield data

        return await self.write(key, once(), overwrite=overwrite)

    async def write(self, key: str, chunks: AsyncIterable[bytes], *, overwrite: bool = True) -> Blob:
        """Store `chunks`; when they fail to arrive, what was there before stays."""
        self.path(key)
        async with self.stage() as file:
            with disk_errors():
                async for chunk in chunks:
                    await file.write(chunk)
                return await self.publish(file, key, overwrite=overwrite)

    async def get(self, key: str) -> bytes:
        with missing(key):
            return await in_thread(self.path(key).read_bytes)

    async def read(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        async with self.open(key) as blob:
            async for chunk in blob.read(start, end):
                yield chunk

    @asynccontextmanager
    async def open(self, key: str) -> AsyncGenerator[OpenBlob]:
        with missing(key):
            file, blob = await in_thread(_open, self.path(key), key)
        with file:
            yield OpenBlob(blob, file)

    async def head(self, key: str) -> Blob:
        with missing(key):
            return await in_thread(_stat, self.path(key), key)

    async def list(self, prefix: str = "") -> AsyncGenerator[Blob]:
        """All blobs whose keys begin with `prefix`, in key order."""
        after: str | None = ""
        while after is not None:
            page = await self.page(prefix, after=after)
            for blob in page.blobs:
                yield blob
            after = page.after

    async def page(self, prefix: str = "", *, after: str = "", limit: int = PAGE_SIZE, delimited: bool = False) -> Page:
        return await in_thread(walk.page, self.root, prefix, after=after, limit=limit, delimited=delimited)

    async def delete(self, key: str) -> None:
        """Deleting what does not exist is done already."""
        await in_thread(self._delete, self.path(key))

    async def copy(self, source: str, target: str, *, overwrite: bool = True) -> Blob:
        async with self.stage() as file:
            with missing(source), disk_errors():
                await in_thread(shutil.copyfile, self.path(source), file.path)
                return await self.publish(file, target, overwrite=overwrite)

    async def sweep(self, before: datetime) -> int:
        """Forget uploads in which nothing has happened since `before`; how many they were."""
        return await in_thread(self._sweep, before.astimezone(UTC).timestamp())

    def path(self, key: str) -> Path:
        """Raise InvalidArgument for what is not a key of this directory."""
        if not walk.is_visible(keys.checked(key)):
            raise InvalidArgument(f"blob keys do not begin with '{walk.HIDDEN}/'")
        return self.root / key

    def _publish(self, source: Staged, target: Path, key: str, *, overwrite: bool) -> Blob:
        path = source.seal(fsync=self.fsync)
        blob = walk.blob_of(key, path.stat())
        self._rename(path, target, key, overwrite=overwrite)
        source.release()
        self._sync_folders(target.parent)
        return blob

    def _rename(self, source: Path, target: Path, key: str, *, overwrite: bool) -> None:
        for _ in range(PUBLISH_ATTEMPTS):
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                return _move(source, target, overwrite=overwrite)
            except (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError) as error:
                self._check_free(target, key, error, overwrite=overwrite)
        raise Conflict(f"blob {key!r}: others keep deleting its folder")

    def _check_free(self, target: Path, key: str, cause: OSError, *, overwrite: bool) -> None:
        """Tell a name that is taken from a folder that was pruned a moment ago."""
        if target.is_file() and not overwrite:
            raise AlreadyExists(f"blob {key!r} exists already") from cause
        folders = [folder for folder in target.parents if folder != self.root and folder.is_relative_to(self.root)]
        if target.is_dir() or any(folder.is_file() for folder in folders):
            raise FailedPrecondition(
                f"blob {key!r} cannot exist beside the blobs there are: one would be the other's folder"
            ) from cause

    def _sync_folders(self, folder: Path) -> None:
        """Up to the root, since a concurrent put may have made a folder and not yet brought it to the disk."""
        while self.fsync and folder.is_relative_to(self.root):
            with suppress(FileNotFoundError):
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
            folder = folder.parent

    def _delete(self, path: Path) -> None:
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
            if path.is_file():
                raise
            return
        folder = path.parent
        with suppress(OSError):
            while folder != self.root:
                folder.rmdir()
                folder = folder.parent

    def _sweep(self, before: float) -> int:
        stale = [
            path
            for folder in (self.staging, self.uploads)
            for path in folder.iterdir()
            if _modified(path, default=before) < before
        ]
        for path in stale:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        return len(stale)


@contextmanager
def missing(key: str) -> Generator[None]:
    """What the file system says of a key that is not a file, as NotFound."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise NotFound(f"there is no blob {key!r}") from error


@contextmanager
def disk_errors() -> Generator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise ResourceExhausted("the disk of the blob directory is full") from error
        raise


def _open(path: Path, key: str) -> tuple[BinaryIO, Blob]:
    file = path.open("rb", buffering=0)
    return file, walk.blob_of(key, os.fstat(file.fileno()))


def _stat(path: Path, key: str) -> Blob:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise FileNotFoundError(errno.ENOENT, "not a file", str(path))
    return walk.blob_of(key, status)


def _modified(path: Path, *, default: float) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return default


def _move(source: Path, target: Path, *, overwrite: bool) -> None:
    if overwrite:
        source.replace(target)
    else:
        target.hardlink_to(source)  # fails if the target exists, which no rename of the standard library does
        source.unlink()
