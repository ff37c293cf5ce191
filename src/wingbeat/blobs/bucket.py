"""Blobs in S3, Google Cloud Storage or Azure, through obstore, which finds its credentials as their own tools do."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import AzureStore, GCSStore, S3Store

from wingbeat.blobs import keys
from wingbeat.blobs.blob import Blob
from wingbeat.blobs.signing import SignedUpload, md5_text
from wingbeat.errors import AlreadyExists, NotFound, PermissionDenied, Unavailable

READ_SIZE = 1 << 20

if TYPE_CHECKING:
    from obstore import ObjectMeta  # obstore has its types in its stubs only


class Listing(Protocol):
    """The one way we list: obstore's own type also speaks of Arrow, which need not be installed."""

    def list_async(self, prefix: str | None = None) -> AsyncIterator[Sequence["ObjectMeta"]]: ...


class Bucket:
    def __init__(self, store: S3Store | GCSStore | AzureStore) -> None:
        self._store = store
        self._listing: Listing = store

    async def put(self, key: str, data: bytes, *, overwrite: bool = True) -> Blob:
        with translated(key):
            await self._store.put_async(keys.checked(key), data, mode="overwrite" if overwrite else "create")
        return await self.head(key)

    async def write(self, key: str, chunks: AsyncIterable[bytes]) -> Blob:
        with translated(key):
            writer = obstore.open_writer_async(self._store, keys.checked(key))
            async with writer:
                async for chunk in chunks:
                    await writer.write(chunk)
        return await self.head(key)

    async def get(self, key: str) -> bytes:
        with translated(key):
            found = await self._store.get_async(keys.checked(key))
            return bytes(await found.bytes_async())

    async def read(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        size = (await self.head(key)).size
        end = size if end is None else min(end, size)
        if start >= end:
            return
        with translated(key):
            found = await self._store.get_async(key, options={"range": (start, end)})
            async for chunk in found.stream(min_chunk_size=READ_SIZE):
                yield bytes(chunk)

    async def head(self, key: str) -> Blob:
        with translated(key):
            found = await self._store.head_async(keys.checked(key))
        return _blob(found)

    async def list(self, prefix: str = "") -> AsyncGenerator[Blob]:
        """obstore lists whole folders; the rest of `prefix` is compared here."""
        with translated(prefix):
            async for batch in self._listing.list_async(prefix.rpartition("/")[0] or None):
                for found in batch:
                    if found["path"].startswith(prefix):
                        yield _blob(found)

    async def delete(self, key: str) -> None:
        try:
            with translated(key):
                await self._store.delete_async(keys.checked(key))
        except NotFound:
            return  # gone already, as it should be

    async def copy(self, source: str, target: str) -> Blob:
        with translated(source):
            await self._store.copy_async(keys.checked(source), keys.checked(target))
        return await self.head(target)

    async def sign_get(self, key: str, expires: timedelta, *, public_url: str | None = None) -> str:
        """`public_url` is for URLs of our own; a bucket has its own address."""
        with translated(key):
            return await obstore.sign_async(self._store, "GET", keys.checked(key), expires)

    async def sign_put(
        self, key: str, expires: timedelta, *, content_md5: bytes | None = None, public_url: str | None = None
    ) -> SignedUpload:
        """The store compares `content_md5` with the bytes if the client sends it as told, but cannot insist."""
        with translated(key):
            url = await obstore.sign_async(self._store, "PUT", keys.checked(key), expires)
        headers = {"Content-MD5": md5_text(content_md5)} if content_md5 else {}
        if isinstance(self._store, AzureStore):
            headers["x-ms-blob-type"] = "BlockBlob"
        return SignedUpload(url, headers)


@contextmanager
def translated(key: str) -> Generator[None]:
    """obstore's errors as ours; their texts may hold what a caller must not see, so they only stay the cause."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"there is no blob {key!r}") from error
    except AlreadyExistsError as error:
        raise AlreadyExists(f"blob {key!r} exists already") from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise PermissionDenied(f"the object store does not let this server at {key!r}") from error
    except BaseError as error:
        raise Unavailable(f"the object store did not answer for {key!r}") from error


def _blob(found: "ObjectMeta") -> Blob:
    return Blob(found["path"], found["size"], (found["e_tag"] or "").strip('"'), found["last_modified"])
