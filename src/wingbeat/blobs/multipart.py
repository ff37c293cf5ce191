"""Uploads in parts, to the directory backend. All state is on disk, so any process may take the next part.

An upload is a folder outside the keys: `key` says what it will be, a five-digit file is a part, and `completed` is
left for a client that asks again because it lost the answer.
"""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from wingbeat.blobs import walk
from wingbeat.blobs.blob import Blob
from wingbeat.blobs.directory import Directory, disk_errors
from wingbeat.blobs.staging import Staged
from wingbeat.blobs.threads import in_thread
from wingbeat.errors import InvalidArgument, NotFound

MAX_PARTS = 10_000
_COPY_SIZE = 1 << 20
_UPLOAD_ID = re.compile(r"[0-9a-f]{32}")
_PART = re.compile(r"\d{5}")


@dataclass(frozen=True, slots=True)
class Part:
    number: int
    etag: str


class Uploads:
    """Every method but `create` raises NotFound for an upload that is unknown, over, or meant for another key."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def create(self, key: str) -> str:
        """Begin an upload; its id."""
        self._directory.path(key)
        upload_id = token_hex(16)
        with disk_errors():
            await in_thread(self._create, self._directory.uploads / upload_id, key)
        return upload_id

    async def put_part(self, key: str, upload_id: str, number: int, content: Staged) -> Blob:
        """Keep staged bytes as part `number`, in place of an earlier one; the answer's ETag names it."""
        folder = await in_thread(self._folder, key, upload_id)
        if not 1 <= number <= MAX_PARTS:
            raise InvalidArgument(f"part number {number} is not between 1 and {MAX_PARTS}")
        return await in_thread(self._keep, content, folder / f"{number:05}", key)

    async def parts(self, key: str, upload_id: str) -> list[tuple[int, Blob]]:
        return await in_thread(self._parts, key, upload_id)

    async def complete(self, key: str, upload_id: str, parts: Sequence[Part], *, overwrite: bool = True) -> Blob:
        """Join `parts`, in their order, into the blob; asking again answers the same.

        Raise InvalidArgument if they are not ascending or not what was uploaded.
        """
        folder = await in_thread(self._folder, key, upload_id, completed=True)
        if (folder / "completed").exists():
            return await self._directory.head(key)
        paths = await in_thread(_chosen, folder, parts)
        async with self._directory.stage() as whole:
            with disk_errors():
                await in_thread(_join, paths, whole.path)
                blob = await self._directory.publish(whole, key, overwrite=overwrite)
        await in_thread(_close, folder, blob.etag)
        return blob

    async def abort(self, key: str, upload_id: str) -> None:
        folder = await in_thread(self._folder, key, upload_id)
        await in_thread(shutil.rmtree, folder, ignore_errors=True)

    def _create(self, folder: Path, key: str) -> None:
        folder.mkdir()
        (folder / "key").write_text(key, encoding="utf-8")

    def _folder(self, key: str, upload_id: str, *, completed: bool = False) -> Path:
        folder = self._directory.uploads / upload_id
        if _UPLOAD_ID.fullmatch(upload_id) and (folder / "key").is_file():
            is_open = completed or not (folder / "completed").exists()
            if is_open and (folder / "key").read_text(encoding="utf-8") == key:
                return folder
        raise NotFound("there is no such upload: it was completed or aborted, or has been forgotten since")

    def _keep(self, content: Staged, target: Path, key: str) -> Blob:
        path = content.seal(fsync=self._directory.fsync)
        blob = walk.blob_of(key, path.stat())
        try:
            path.replace(target)
        except FileNotFoundError as error:
            raise NotFound("the upload was aborted or completed meanwhile") from error
        content.release()
        return blob

    def _parts(self, key: str, upload_id: str) -> list[tuple[int, Blob]]:
        folder = self._folder(key, upload_id)
        paths = sorted(path for path in folder.iterdir() if _PART.fullmatch(path.name))
        return [(int(path.name), walk.blob_of(key, path.stat())) for path in paths]


def _chosen(folder: Path, parts: Sequence[Part]) -> list[Path]:
    numbers = [part.number for part in parts]
    if not parts or numbers != sorted(set(numbers)):
        raise InvalidArgument("parts must be listed once each, in ascending order, and there must be one")
    return [_uploaded(folder, part) for part in parts]


def _uploaded(folder: Path, part: Part) -> Path:
    path = folder / f"{part.number:05}"
    if not path.is_file() or walk.blob_of("", path.stat()).etag != part.etag:
        raise InvalidArgument(f"part {part.number} was not uploaded with ETag {part.etag!r}")
    return path


def _join(paths: Sequence[Path], target: Path) -> None:
    with target.open("wb") as whole:
        for path in paths:
            with path.open("rb") as part:
                shutil.copyfileobj(part, whole, _COPY_SIZE)


def _close(folder: Path, etag: str) -> None:
    (folder / "completed").write_text(etag, encoding="utf-8")
    for path in folder.iterdir():
        if _PART.fullmatch(path.name):
            path.unlink(missing_ok=True)
