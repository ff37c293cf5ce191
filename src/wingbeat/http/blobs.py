"""Signed uploads and downloads of the directory backend: PUT, GET and HEAD of /blobs/<key>?expires&md5&signature."""

import hashlib
from contextlib import aclosing

from wingbeat.blobs.directory import Directory, disk_errors
from wingbeat.blobs.signing import PATH, Grant, SigningKey, md5_bytes, md5_text, verified
from wingbeat.clock import Clock
from wingbeat.errors import (
    Conflict,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    WingbeatError,
    nearest,
)
from wingbeat.http.asgi import (
    ClientGoneError,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    parsed,
    send_response,
    text_response,
)
from wingbeat.http.serving import send_blob

STATUS: dict[type[WingbeatError], int] = {
    InvalidArgument: 400,
    PermissionDenied: 403,
    NotFound: 404,
    Conflict: 409,
    FailedPrecondition: 409,
    ResourceExhausted: 507,
}


class TooLargeError(Exception):
    """An upload of more bytes than the server takes."""


class SignedBlobs:
    """Mounted at `blobs.signing.PATH`; the whole path reaches it."""

    def __init__(self, directory: Directory, signing: SigningKey, *, clock: Clock, max_upload: int) -> None:
        """`max_upload` is in bytes."""
        self._directory = directory
        self._signing = signing
        self._clock = clock
        self._max_upload = max_upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = scope["method"] == "HEAD"
        try:
            refusal = await self._answer(parsed(scope, receive), send)
        except ClientGoneError:
            return
        except TooLargeError:
            refusal = text_response(413, f"uploads may have at most {self._max_upload} bytes")
        except WingbeatError as error:
            status = nearest(error, STATUS)
            if status is None:
                raise
            refusal = text_response(status, str(error))
        if refusal is not None:
            await send_response(send, refusal, head=head)

    async def _answer(self, request: Request, send: Send) -> Response | None:
        if request.method not in {"GET", "HEAD", "PUT"}:
            return text_response(405, "blobs know GET, HEAD and PUT", {"allow": "GET, HEAD, PUT"})
        method = "PUT" if request.method == "PUT" else "GET"
        key = request.path.removeprefix(PATH)
        grant = verified(self._signing, method, key, request.parameters, now=self._clock())
        if method == "PUT":
            return await self._upload(request, grant)
        return await send_blob(send, request, self._directory, key)

    async def _upload(self, request: Request, grant: Grant) -> Response:
        self._directory.path(grant.key)
        if (request.content_length or 0) > self._max_upload:
            raise TooLargeError
        digest = hashlib.md5(usedforsecurity=False)
        async with self._directory.stage(digests=[digest]) as file, aclosing(request.chunks()) as chunks:
            with disk_errors():
                async for chunk in chunks:
                    if file.size + len(chunk) > self._max_upload:
                        raise TooLargeError
                    await file.write(chunk)
                await file.settle()
                _check_md5(digest.digest(), request, grant)
                blob = await self._directory.publish(file, grant.key)
        return Response(200, {"etag": f'"{blob.etag}"'})


def _check_md5(actual: bytes, request: Request, grant: Grant) -> None:
    sent = request.headers.get("content-md5")
    if sent is not None and md5_bytes(sent) != actual:
        raise InvalidArgument(f"the body's MD5 is {md5_text(actual)}, not {sent} as Content-MD5 says")
    if grant.md5 is not None and grant.md5 != actual:
        raise InvalidArgument(f"the body's MD5 is {md5_text(actual)}, not {md5_text(grant.md5)} as the URL allows")
