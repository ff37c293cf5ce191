"""Removes uploads that are old and that nothing speaks of any more: no task, no trigger, no run, no other upload.

Those that are older than the record of who speaks of what are left alone.

One node at a time passes over all of them, now and then.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from wingbeat.blobs.blob import Blob
from wingbeat.blobs.store import Blobs
from wingbeat.core.uploads import UPLOADS, folder_of
from wingbeat.errors import NotFound, Unavailable, WingbeatError
from wingbeat.store import leases, upload_uses
from wingbeat.store.database import Database, Transaction
from wingbeat.telemetry import Metrics

LEASE_NAME = "uploads"
LEASE = timedelta(hours=1)
REST_SECONDS = 6 * 3600.0
"""Between two passes."""
FOLDERS = 100
"""Looked up at a time."""
YOUNGEST = timedelta(days=2)
"""The SDK remembers for a day what it has uploaded, and then speaks of it without uploading it again."""


log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Upload:
    folder: str
    blobs: list[Blob] = field(default_factory=list[Blob])

    def between(self, first: datetime, end: datetime) -> bool:
        return all(first <= blob.modified < end for blob in self.blobs)


class UploadSweeper:
    def __init__(self, database: Database, blobs: Blobs, *, age: timedelta, node: str, metrics: Metrics) -> None:
        self._database = database
        self._blobs = blobs
        self._age = max(age, YOUNGEST)
        self._node = node
        self._metrics = metrics

    async def tick(self) -> float:
        """One pass over all uploads."""
        now = await self._database.write(self._mine)
        known_since = await self._database.read(upload_uses.known_since)
        batch: list[_Upload] = []
        async with aclosing(self._uploads()) as uploads:
            async for upload in uploads:
                if now is None:
                    return REST_SECONDS
                if upload.between(known_since, now - self._age):
                    batch.append(upload)
                if len(batch) == FOLDERS:
                    await self._remove_unused(batch, now - self._age)
                    batch.clear()
                    now = await self._database.write(self._mine)
        if batch and now is not None:
            await self._remove_unused(batch, now - self._age)
        return REST_SECONDS

    async def _mine(self, tx: Transaction) -> datetime | None:
        """The moment, if this node is the one that sweeps."""
        return tx.now if await leases.acquire(tx, LEASE_NAME, self._node, LEASE) is not None else None

    async def _uploads(self) -> AsyncGenerator[_Upload]:
        """One after the other, as their keys follow each other."""
        current: _Upload | None = None
        async for blob in self._blobs.list(f"{UPLOADS}/"):
            folder = folder_of(blob.key)
            if folder is None:
                continue
            if current is None or current.folder != folder:
                if current:
                    yield current
                current = _Upload(folder)
            current.blobs.append(blob)
        if current:
            yield current

    async def _remove_unused(self, batch: list[_Upload], before: datetime) -> None:
        folders = [upload.folder for upload in batch]
        base_uri = self._blobs.base_uri
        used = await self._database.read(lambda tx: upload_uses.used(tx, folders, base_uri=base_uri))
        gone = [upload for upload in batch if upload.folder not in used and await self._removed(upload, before)]
        holders = [upload_uses.of_upload(f"{UPLOADS}/{upload.folder}") for upload in gone]
        await self._database.write(lambda tx: upload_uses.forget(tx, holders))

    async def _removed(self, upload: _Upload, before: datetime) -> bool:
        """Whether it could be removed: one that cannot be holds up no other. Raises Unavailable."""
        try:
            for blob in upload.blobs:
                await self._remove(blob.key, before)
        except Unavailable:
            raise
        except (OSError, WingbeatError) as error:
            log.warning("upload not removed", folder=upload.folder, error=str(error))
            return False
        return True

    async def _remove(self, key: str, before: datetime) -> None:
        """Unless it was uploaded again since."""
        try:
            if (await self._blobs.head(key)).modified >= before:
                return
        except NotFound:
            return
        await self._blobs.delete(key)
        self._metrics.pruned.labels("uploads").inc()
