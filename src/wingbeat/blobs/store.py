"""The blobs of a server, wherever they are. A method takes a key or a native URI of this store, and no other URI."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from wingbeat.blobs import keys, signing
from wingbeat.blobs.blob import Blob
from wingbeat.blobs.directory import Directory
from wingbeat.blobs.signing import OwnUrls, SignedUpload, SigningKey
from wingbeat.clock import Clock, system_clock
from wingbeat.errors import FailedPrecondition, InvalidArgument, NotFound, StartError

BUCKET = "wingbeat"
"""The bucket that the embedded S3 endpoint shows."""
BUCKET_SCHEMES = {"s3": "s3", "gs": "gs", "az": "abfs", "abfs": "abfs", "abfss": "abfss"}
"""What the operator writes, and what the SDK's clients understand in native URIs."""

DELETES_AT_A_TIME = 16


class Backend(Protocol):
    """Where the bytes are. Keys are checked by the backend, since a legal key may still be refused by one."""

    async def put(self, key: str, data: bytes, *, overwrite: bool = True) -> Blob: ...
    async def write(self, key: str, chunks: AsyncIterable[bytes]) -> Blob: ...
    async def get(self, key: str) -> bytes: ...
    def read(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]: ...
    async def head(self, key: str) -> Blob: ...
    def list(self, prefix: str = "") -> AsyncGenerator[Blob]: ...
    async def delete(self, key: str) -> None: ...
    async def copy(self, source: str, target: str) -> Blob: ...


class Signer(Protocol):
    async def sign_get(self, key: str, expires: timedelta, *, public_url: str | None = None) -> str: ...
    async def sign_put(
        self, key: str, expires: timedelta, *, content_md5: bytes | None = None, public_url: str | None = None
    ) -> SignedUpload: ...


class Blobs:
    """Every `where` is a key or a native URI; an illegal key or a foreign URI raises InvalidArgument."""

    def __init__(self, backend: Backend, signer: Signer, *, base_uri: str) -> None:
        """`base_uri` is what stands before the keys in native URIs, without a slash at its end."""
        self._backend = backend
        self._signer = signer
        self.base_uri = base_uri

    @property
    def directory(self) -> Directory | None:
        """The directory that the HTTP edges must serve, unless the blobs are in a bucket."""
        return self._backend if isinstance(self._backend, Directory) else None

    def uri(self, key: str) -> str:
        """The native URI of `key`, as the SDK's clients open it: not percent-encoded."""
        return f"{self.base_uri}/{keys.checked(key)}"

    def owns(self, uri: str) -> bool:
        """Whether a native URI points into this store."""
        return uri.startswith(f"{self.base_uri}/")

    def key(self, uri: str) -> str:
        """The key of a native URI; raise InvalidArgument if it points elsewhere."""
        if not self.owns(uri):
            raise InvalidArgument(
                f"{uri!r} is not in this server's blob store, whose URIs begin with '{self.base_uri}/'"
            )
        return keys.checked(uri.removeprefix(f"{self.base_uri}/"))

    async def put(self, where: str, data: bytes, *, overwrite: bool = True) -> Blob:
        """Store `data`; raise AlreadyExists if there is a blob and `overwrite` is false."""
        return await self._backend.put(self._key(where), data, overwrite=overwrite)

    async def write(self, where: str, chunks: AsyncIterable[bytes]) -> Blob:
        """Store a stream in constant memory; nothing changes when it fails."""
        return await self._backend.write(self._key(where), chunks)

    async def get(self, where: str, *, at_most: int | None = None) -> bytes:
        """The whole blob; raise NotFound, and FailedPrecondition when it has more than `at_most` bytes."""
        key = self._key(where)
        if at_most is not None and (size := (await self._backend.head(key)).size) > at_most:
            raise FailedPrecondition(f"{self.uri(key)} has {size} bytes, more than the {at_most} that are read at once")
        return await self._backend.get(key)

    def read(self, where: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """The bytes from `start` up to, not including, `end`, in pieces; raise NotFound at the first."""
        return self._backend.read(self._key(where), start=start, end=end)

    async def head(self, where: str) -> Blob:
        """Raise NotFound."""
        return await self._backend.head(self._key(where))

    async def exists(self, where: str) -> bool:
        try:
            await self.head(where)
        except NotFound:
            return False
        return True

    async def md5(self, where: str) -> bytes:
        """The MD5 of a blob's bytes, found by reading them; raise NotFound."""
        digest = hashlib.md5(usedforsecurity=False)
        async for chunk in self.read(where):
            digest.update(chunk)
        return digest.digest()

    def list(self, prefix: str = "") -> AsyncGenerator[Blob]:
        """The blobs whose keys begin with `prefix` (a key's beginning, not a URI), in key order."""
        return self._backend.list(prefix)

    async def delete(self, where: str) -> None:
        """Deleting what does not exist is done already."""
        await self._backend.delete(self._key(where))

    async def remove_below(self, where: str, *, limit: int, only: Callable[[str], bool] | None = None) -> int:
        """Delete up to `limit` blobs below `where`, which ends with a slash; how many. Fewer were all that were left.

        `only` says of the rest of a key, behind `where`, whether its blob may go.
        """
        prefix = self._key(where.removesuffix("/")) + "/"
        found: list[str] = []
        async with aclosing(self._backend.list(prefix)) as listed:
            async for blob in listed:
                if only is None or only(blob.key.removeprefix(prefix)):
                    found.append(blob.key)
                if len(found) == limit:
                    break
        for start in range(0, len(found), DELETES_AT_A_TIME):
            await asyncio.gather(*(self._backend.delete(key) for key in found[start : start + DELETES_AT_A_TIME]))
        return len(found)

    async def copy(self, source: str, target: str) -> Blob:
        """Raise NotFound if there is no `source`; `target` is overwritten."""
        return await self._backend.copy(self._key(source), self._key(target))

    async def sign_get(self, where: str, expires: timedelta, *, public_url: str | None = None) -> str:
        """A URL that anyone may read the blob at for `expires` (0 < expires <= 7 days).

        `public_url` is the address that the asking client knows this server by, if not the configured one.
        """
        return await self._signer.sign_get(self._key(where), signing.checked_expiry(expires), public_url=public_url)

    async def sign_put(
        self,
        where: str,
        expires: timedelta,
        *,
        content_md5: bytes | None = None,
        public_url: str | None = None,
    ) -> SignedUpload:
        """A URL that anyone may write the blob to for `expires`, if the bytes have the MD5 `content_md5`."""
        return await self._signer.sign_put(
            self._key(where),
            signing.checked_expiry(expires),
            content_md5=signing.checked_md5(content_md5) if content_md5 is not None else None,
            public_url=public_url,
        )

    def _key(self, where: str) -> str:
        return self.key(where) if "://" in where else keys.checked(where)


def open_blobs(
    uri: str, *, signing: SigningKey, public_url: str, clock: Clock = system_clock, fsync: bool = True
) -> Blobs:
    """The store at `uri`: a directory's path, or file://, s3://, gs://, az:// and abfs:// URIs.

    A directory is served by this server itself: its native URIs are `s3://wingbeat/<key>` and its signed URLs begin
    with `public_url`. Raise StartError if `uri` cannot be used.
    """
    scheme = uri.partition("://")[0] if "://" in uri else ""
    if scheme in BUCKET_SCHEMES:
        return _open_bucket(uri, scheme)
    if scheme not in {"", "file"} or not uri:
        raise StartError(f"blob store {uri!r}: expected a directory, or a file://, s3://, gs://, az:// or abfs:// URI")
    directory = _open_directory(uri, _local_path(uri) if scheme else Path(uri), fsync=fsync)
    return Blobs(directory, OwnUrls(signing, public_url=public_url, clock=clock), base_uri=f"s3://{BUCKET}")


def _local_path(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.netloc not in {"", "localhost"} or not parts.path:
        raise StartError(f"blob store {uri!r}: a file URI has three slashes, as in file:///var/lib/wingbeat")
    return Path(unquote(parts.path))


def _open_directory(uri: str, path: Path, *, fsync: bool) -> Directory:
    try:
        return Directory(path.expanduser(), fsync=fsync)
    except OSError as error:
        raise StartError(f"blob store {uri!r}: cannot use the directory: {error.strerror}") from error


def _open_bucket(uri: str, scheme: str) -> Blobs:
    # obstore takes 20 ms to import and brings a thread pool: only those who use a bucket pay for it.
    from obstore.exceptions import BaseError
    from obstore.store import AzureStore, GCSStore, S3Store, from_url

    from wingbeat.blobs.bucket import Bucket

    try:
        store = from_url(uri)
    except (BaseError, ValueError) as error:
        raise StartError(f"blob store {uri!r}: {str(error).splitlines()[0]}") from error
    if not isinstance(store, S3Store | GCSStore | AzureStore):
        raise StartError(f"blob store {uri!r}: not a bucket of S3, Google Cloud Storage or Azure")
    bucket = Bucket(store)
    return Blobs(bucket, bucket, base_uri=BUCKET_SCHEMES[scheme] + uri.removeprefix(scheme).rstrip("/"))
