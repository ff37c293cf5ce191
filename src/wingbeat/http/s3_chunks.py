"""The aws-chunked transfer encoding: `<hex size>[;chunk-signature=...]`, data, ..., size 0, trailing headers."""

import hashlib
import hmac
from collections.abc import AsyncGenerator

from wingbeat.http.s3_auth import Authorized
from wingbeat.http.s3_xml import S3Error

MAX_LINE = 8192
"""Bytes of a chunk's head or of a trailing header."""
MAX_TRAILERS = 16
EMPTY_SHA256 = hashlib.sha256().hexdigest()


class ChunkedBody:
    """Unpacks a body as it comes. When `data` has ended, every signature was right and `trailers` are there."""

    def __init__(self, source: AsyncGenerator[bytes], authorized: Authorized) -> None:
        self.trailers: dict[str, str] = {}
        self._source = source
        self._authorized = authorized
        self._is_signed = authorized.payload.startswith("STREAMING-AWS4")
        self._has_trailers = authorized.payload.endswith("-TRAILER")
        self._signature = authorized.signature
        self._buffer = b""

    async def data(self) -> AsyncGenerator[bytes]:
        size, signature = await self._head()
        while size:
            digest = hashlib.sha256()
            while size:
                piece = await self._piece(size)
                size -= len(piece)
                digest.update(piece)
                yield piece
            self._check("PAYLOAD", signature, EMPTY_SHA256, digest.hexdigest())
            await self._line()
            size, signature = await self._head()
        self._check("PAYLOAD", signature, EMPTY_SHA256, EMPTY_SHA256)
        await self._read_trailers()

    async def _head(self) -> tuple[int, str]:
        size, _, extension = (await self._line()).partition(";")
        try:
            return int(size, 16), extension.removeprefix("chunk-signature=")
        except ValueError as error:
            raise S3Error("InvalidRequest", "the body is not aws-chunked, as its headers say") from error

    async def _read_trailers(self) -> None:
        while self._has_trailers and (line := await self._line()):
            name, _, value = line.partition(":")
            self.trailers[name.strip().lower()] = value.strip()
            if len(self.trailers) > MAX_TRAILERS:
                raise S3Error("InvalidRequest", "the body has too many trailing headers")
        signature = self.trailers.pop("x-amz-trailer-signature", "")
        if self._has_trailers:
            canonical = "".join(f"{name}:{value}\n" for name, value in sorted(self.trailers.items()))
            self._check("TRAILER", signature, hashlib.sha256(canonical.encode("latin-1")).hexdigest())

    def _check(self, kind: str, signature: str, *hashes: str) -> None:
        """Signatures form a chain: each covers the one before."""
        if not self._is_signed:
            return
        expected = self._authorized.sign(f"AWS4-HMAC-SHA256-{kind}", self._signature, *hashes)
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            raise S3Error("SignatureDoesNotMatch", "the signature of a part of the body is wrong")
        self._signature = expected

    async def _piece(self, limit: int) -> bytes:
        if not self._buffer:
            await self._fill()
        piece, self._buffer = self._buffer[:limit], self._buffer[limit:]
        return piece

    async def _line(self) -> str:
        while b"\n" not in self._buffer:
            if len(self._buffer) > MAX_LINE:
                raise S3Error("InvalidRequest", "the body is not aws-chunked, as its headers say")
            await self._fill()
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode("latin-1").removesuffix("\r")

    async def _fill(self) -> None:
        try:
            self._buffer += await anext(self._source)
        except StopAsyncIteration as error:
            raise S3Error("IncompleteBody", "the body ended before its last chunk") from error
