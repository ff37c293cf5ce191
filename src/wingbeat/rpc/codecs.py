"""Bytes to messages and back. Bytes that are no message are the caller's mistake: INVALID_ARGUMENT.

connectrpc's own codecs answer UNKNOWN with HTTP 500 and refuse JSON fields they do not know, which a newer
client may send; its gzip inflates whatever it is given.
"""

import gzip
import zlib
from typing import Any, TypeVar

import structlog
from connectrpc.code import Code
from connectrpc.codec import Codec
from connectrpc.compression import Compression
from connectrpc.errors import ConnectError
from google.protobuf.json_format import MessageToJson, Parse, ParseError
from google.protobuf.message import DecodeError, Message

from wingbeat.rpc.errors import INTERNAL_ERROR

M = TypeVar("M", bound=Message)

GZIP_WINDOW = 16 + zlib.MAX_WBITS
"""zlib's name for: a gzip header, any window size."""

GZIP_LEVEL = 1
"""A response is compressed on the event loop: quickly, not well."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class ProtoCodec(Codec[Message, Any]):
    def name(self) -> str:
        return "proto"

    def encode(self, message: Message) -> bytes:
        try:
            return message.SerializeToString()
        except Exception as error:
            raise _cannot_encode(message, error) from error

    def decode(self, data: bytes | bytearray, message: M) -> M:
        try:
            message.ParseFromString(bytes(data))
        except DecodeError as error:
            raise _malformed(message, "a protobuf message", error) from error
        return message


class JsonCodec(Codec[Message, Any]):
    def name(self) -> str:
        return "json"

    def encode(self, message: Message) -> bytes:
        try:
            return MessageToJson(message, indent=None).encode()
        except Exception as error:
            raise _cannot_encode(message, error) from error

    def decode(self, data: bytes | bytearray, message: M) -> M:
        try:
            # The parser takes an empty list for an empty message.
            if not data.lstrip().startswith(b"{"):
                raise ParseError("it is not an object")
            return Parse(bytes(data), message, ignore_unknown_fields=True)
        except (ParseError, ValueError, TypeError, RecursionError) as error:
            raise _malformed(message, "JSON", error) from error


class BoundedGzip(Compression):
    """Inflates up to `max_bytes`, so that a small body cannot become a large one."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes

    def name(self) -> str:
        return "gzip"

    def compress(self, data: bytes | bytearray | memoryview) -> bytes:
        return gzip.compress(data, compresslevel=GZIP_LEVEL, mtime=0)

    def decompress(self, data: bytes | bytearray | memoryview) -> bytes:
        inflater = zlib.decompressobj(GZIP_WINDOW)
        try:
            inflated = inflater.decompress(data, self._max_bytes + 1)
        except zlib.error as error:
            raise ConnectError(Code.INVALID_ARGUMENT, f"the body is not gzip: {error}") from error
        if len(inflated) > self._max_bytes:
            raise ConnectError(Code.RESOURCE_EXHAUSTED, f"the message inflates to more than {self._max_bytes} bytes")
        if not inflater.eof:
            raise ConnectError(Code.INVALID_ARGUMENT, "the body is not gzip: it ends too early")
        if inflater.unused_data:
            raise ConnectError(Code.INVALID_ARGUMENT, "the body is not gzip: something follows its end")
        return inflated


def _malformed(message: Message, form: str, error: Exception) -> ConnectError:
    return ConnectError(Code.INVALID_ARGUMENT, f"the body is not {message.DESCRIPTOR.full_name} as {form}: {error}")


def _cannot_encode(message: object, error: Exception) -> ConnectError:
    log.error("response cannot be encoded", type=type(message).__name__, exc_info=error)
    return ConnectError(Code.INTERNAL, INTERNAL_ERROR)
