"""The body of an S3 upload: received in constant memory and compared with all that its headers say of it."""

import binascii
import hashlib
import zlib
from base64 import b64decode
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Protocol

from wingbeat.blobs.directory import Directory, disk_errors
from wingbeat.blobs.staging import Staged
from wingbeat.http.asgi import Request
from wingbeat.http.s3_auth import UNSIGNED, Authorized
from wingbeat.http.s3_chunks import ChunkedBody
from wingbeat.http.s3_xml import S3Error

STREAMING = frozenset(
    {
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    }
)


class Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


class Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


CHECKSUMS: dict[str, Callable[[], Hash]] = {
    "content-md5": lambda: hashlib.md5(usedforsecurity=False),
    "x-amz-checksum-crc32": Crc32,
    "x-amz-checksum-sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "x-amz-checksum-sha256": hashlib.sha256,
}
"""By header or trailing header. CRC-32C and CRC-64/NVME are let pass: Python has them only at a tenth of the speed."""


@asynccontextmanager
async def received(request: Request, authorized: Authorized, directory: Directory) -> AsyncGenerator[Staged]:
    """The body, staged and found right; raise S3Error otherwise. Publish it before leaving."""
    hashes = _hashes(request, authorized)
    async with directory.stage(digests=list(hashes.values())) as file, aclosing(request.chunks()) as source:
        with disk_errors():
            trailers = await _fill(file, source, request, authorized)
            await file.settle()
            _compare(hashes, {**request.headers, **trailers}, authorized)
            yield file


async def small_body(request: Request, authorized: Authorized, *, limit: int) -> bytes:
    """A body of XML, compared in the same way."""
    data = await request.body(limit=limit)
    hashes = _hashes(request, authorized)
    for digest in hashes.values():
        digest.update(data)
    _compare(hashes, request.headers, authorized)
    return data


async def _fill(
    file: Staged, source: AsyncGenerator[bytes], request: Request, authorized: Authorized
) -> Mapping[str, str]:
    """Write the body to `file`; the trailing headers."""
    if authorized.payload not in STREAMING:
        async for chunk in source:
            await file.write(chunk)
        return {}
    body = ChunkedBody(source, authorized)
    async with aclosing(body.data()) as pieces:
        async for piece in pieces:
            await file.write(piece)
    if request.headers.get("x-amz-decoded-content-length") != str(file.size):
        raise S3Error("IncompleteBody", "the body is not as long as x-amz-decoded-content-length says")
    return body.trailers


def _hashes(request: Request, authorized: Authorized) -> dict[str, Hash]:
    announced = {name.strip().lower() for name in request.headers.get("x-amz-trailer", "").split(",")}
    hashes = {name: new() for name, new in CHECKSUMS.items() if name in request.headers or name in announced}
    if authorized.payload not in STREAMING | {UNSIGNED}:
        hashes["x-amz-content-sha256"] = hashlib.sha256()
    return hashes


def _compare(hashes: Mapping[str, Hash], said: Mapping[str, str], authorized: Authorized) -> None:
    for name, digest in hashes.items():
        if name == "x-amz-content-sha256":
            if digest.digest().hex() != authorized.payload:
                raise S3Error("XAmzContentSHA256Mismatch", "the body is not what x-amz-content-sha256 says")
        elif digest.digest() != _decoded(name, said.get(name, "")):
            raise S3Error("BadDigest", f"the body is not what {name} says")


def _decoded(name: str, text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except binascii.Error as error:
        raise S3Error("InvalidDigest", f"{name} is not base64") from error
