"""A blob as an HTTP answer: conditions, ranges, headers, and the bytes in constant memory."""

import asyncio
import mimetypes
from contextlib import aclosing
from email.utils import format_datetime

from wingbeat.blobs.blob import Blob
from wingbeat.blobs.directory import READ_SIZE, Directory, OpenBlob
from wingbeat.http.asgi import Request, Response, Send, send_start, text_response, whole_number

# Blobs are users' content and may be HTML: a browser must not run it with the rights of this server's own pages.
SAFETY_HEADERS = {
    "content-security-policy": "sandbox allow-scripts",
    "x-content-type-options": "nosniff",
}


async def send_blob(send: Send, request: Request, directory: Directory, key: str) -> Response | None:
    """Answer a GET or HEAD with the blob. Refusals (304, 412, 416) are returned for the caller to word.

    Raise NotFound before anything is sent.
    """
    if request.method == "HEAD":
        blob = await directory.head(key)
        refusal, span = _plan(request, blob)
        if refusal is None:
            await send_start(send, *_start(blob, span))
            await send({"type": "http.response.body", "body": b""})
        return refusal
    async with directory.open(key) as opened:
        refusal, span = _plan(request, opened.blob)
        if refusal is None:
            await _send_bytes(send, request, opened, span)
        return refusal


def requested_span(header: str | None, size: int) -> tuple[int, int] | None:
    """The single byte range that a Range header asks for, as [start, end) within `size`.

    None means the whole: no header, or one that may be ignored (several ranges, another unit, nonsense). A range
    behind the end is answered with start == end, which cannot be satisfied.
    """
    if header is None or not header.lower().startswith("bytes=") or "," in header:
        return None
    first, dash, last = header[len("bytes=") :].strip().partition("-")
    start, stop = whole_number(first), whole_number(last)
    if not dash or (first and start is None) or (last and stop is None):
        return None
    if start is None:
        return None if stop is None else (max(size - stop, 0), size)
    if stop is not None and stop < start:
        return None
    end = size if stop is None else min(stop + 1, size)
    return (start, end) if start < end else (size, size)


def _plan(request: Request, blob: Blob) -> tuple[Response | None, tuple[int, int] | None]:
    """Why not to answer with the blob, and otherwise with which part of it."""
    headers = request.headers
    if "if-match" in headers and not _matches(headers["if-match"], blob):
        return text_response(412, "the blob is another one by now"), None
    if "if-none-match" in headers and _matches(headers["if-none-match"], blob):
        return Response(304, _identity(blob)), None
    if "if-range" in headers and not _matches(headers["if-range"], blob):
        return None, None
    span = requested_span(headers.get("range"), blob.size)
    if span and span[0] == span[1]:
        line = f"the range {headers['range']!r} is not within the {blob.size} bytes"
        return text_response(416, line, {"content-range": f"bytes */{blob.size}"}), None
    return None, span


def _matches(header: str, blob: Blob) -> bool:
    tags = {tag.strip().removeprefix("W/").strip('"') for tag in header.split(",")}
    return "*" in tags or blob.etag in tags


def _start(blob: Blob, span: tuple[int, int] | None) -> tuple[int, dict[str, str]]:
    start, end = span or (0, blob.size)
    headers = {
        **_identity(blob),
        **SAFETY_HEADERS,
        "accept-ranges": "bytes",
        "content-length": str(end - start),
        "content-type": mimetypes.guess_type(blob.key)[0] or "application/octet-stream",
    }
    if span is None:
        return 200, headers
    return 206, {**headers, "content-range": f"bytes {start}-{end - 1}/{blob.size}"}


def _identity(blob: Blob) -> dict[str, str]:
    return {"etag": f'"{blob.etag}"', "last-modified": format_datetime(blob.modified, usegmt=True)}


async def _send_bytes(send: Send, request: Request, opened: OpenBlob, span: tuple[int, int] | None) -> None:
    await send_start(send, *_start(opened.blob, span))
    start, end = span or (0, opened.blob.size)
    # The server swallows what is sent to a client that has left: a long answer must look out for itself.
    client_left = asyncio.create_task(request.disconnected()) if end - start > READ_SIZE else None
    try:
        async with aclosing(opened.read(start, end)) as chunks:
            async for chunk in chunks:
                if client_left is not None and client_left.done():
                    return
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
    finally:
        if client_left is not None:
            client_left.cancel()
    await send({"type": "http.response.body", "body": b""})
