"""The embedded S3 endpoint: what the SDK's clients need of S3, over the blob directory, for one bucket and one key.

It answers path-style requests only, and verifies every one of them.
"""

from wingbeat.blobs.directory import Directory
from wingbeat.blobs.multipart import Uploads
from wingbeat.blobs.store import BUCKET
from wingbeat.clock import Clock
from wingbeat.errors import (
    AlreadyExists,
    Conflict,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    WingbeatError,
    nearest,
)
from wingbeat.http import s3_listing, s3_multipart, s3_objects
from wingbeat.http.asgi import ClientGoneError, Receive, Request, Response, Scope, Send, parsed, send_response
from wingbeat.http.s3_auth import Authorized, Credentials, authorize
from wingbeat.http.s3_xml import S3Error

PATH = "/s3"
CODES: dict[type[WingbeatError], str] = {
    AlreadyExists: "PreconditionFailed",
    Conflict: "OperationAborted",
    FailedPrecondition: "OperationAborted",
    InvalidArgument: "InvalidArgument",
    NotFound: "NoSuchUpload",
    ResourceExhausted: "SlowDown",
}
"""Objects that are not there are refused as NoSuchKey where they are read; what else can be missing is an upload."""
BUCKET_QUERIES = frozenset(
    {
        "list-type",
        "prefix",
        "delimiter",
        "marker",
        "max-keys",
        "start-after",
        "continuation-token",
        "encoding-type",
        "fetch-owner",
    }
)
OBJECT_QUERIES = frozenset({"uploads", "uploadId", "partNumber"})


class S3Endpoint:
    """Mounted at PATH; the whole path reaches it, since clients sign it."""

    def __init__(self, directory: Directory, credentials: Credentials, *, clock: Clock, path: str = PATH) -> None:
        self._directory = directory
        self._uploads = Uploads(directory)
        self._credentials = credentials
        self._clock = clock
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = scope["method"] == "HEAD"
        try:
            response = await self._answer(parsed(scope, receive), send)
        except ClientGoneError:
            return
        except S3Error as error:
            response = error.response(_resource(scope))
        except WingbeatError as error:
            code = nearest(error, CODES)
            if code is None:
                raise
            response = S3Error(code, str(error)).response(_resource(scope))
        if response is not None:
            await send_response(send, response, head=head)

    async def _answer(self, request: Request, send: Send) -> Response | None:
        """The response, or None if it has been sent already."""
        authorized = authorize(request, self._credentials, now=self._clock())
        bucket, _, key = request.path.removeprefix(self._path).removeprefix("/").partition("/")
        if not bucket:
            _expect(request, "GET", frozenset())
            return s3_listing.list_buckets(BUCKET)
        if bucket != BUCKET:
            raise S3Error("NoSuchBucket", f"there is no bucket {bucket!r}; the only one is {BUCKET!r}")
        if not key:
            return await self._bucket(request, authorized)
        _check_query(request, OBJECT_QUERIES)
        if request.parameters.keys() & OBJECT_QUERIES:
            return await self._multipart(request, authorized, key)
        if request.method in {"GET", "HEAD"}:
            return await s3_objects.get(request, send, self._directory, key)
        return await self._object(request, authorized, key)

    async def _bucket(self, request: Request, authorized: Authorized) -> Response:
        parameters = request.parameters
        match request.method:
            case "HEAD":
                return Response(200)
            case "GET" if "location" in parameters:
                return s3_listing.location()
            case "POST" if "delete" in parameters:
                return await s3_objects.delete_many(request, authorized, self._directory)
            case _:
                _expect(request, "GET", BUCKET_QUERIES)
                return await s3_listing.list_objects(request, self._directory, BUCKET)

    async def _object(self, request: Request, authorized: Authorized, key: str) -> Response:
        match request.method:
            case "PUT" if "x-amz-copy-source" in request.headers:
                return await s3_objects.copy(request, self._directory, key, BUCKET)
            case "PUT":
                return await s3_objects.put(request, authorized, self._directory, key)
            case "DELETE":
                return await s3_objects.delete(self._directory, key)
            case _:
                raise _not_allowed(request)

    async def _multipart(self, request: Request, authorized: Authorized, key: str) -> Response:
        creates = "uploads" in request.parameters
        match request.method:
            case "POST" if creates:
                return await s3_multipart.create(self._uploads, BUCKET, key)
            case "PUT" if "x-amz-copy-source" in request.headers:
                return await s3_multipart.copy_part(request, self._directory, self._uploads, key, BUCKET)
            case "PUT":
                return await s3_multipart.put_part(request, authorized, self._directory, self._uploads, key)
            case "POST":
                return await s3_multipart.complete(request, authorized, self._uploads, BUCKET, key)
            case "GET":
                return await s3_multipart.list_parts(request, self._uploads, BUCKET, key)
            case "DELETE":
                return await s3_multipart.abort(request, self._uploads, key)
            case _:
                raise _not_allowed(request)


def _resource(scope: Scope) -> str:
    return bytes(scope["raw_path"]).decode("ascii", "replace")


def _expect(request: Request, method: str, known: frozenset[str]) -> None:
    if request.method != method:
        raise _not_allowed(request)
    _check_query(request, known)


def _check_query(request: Request, known: frozenset[str]) -> None:
    """A parameter names a sub-resource: to ignore one could mean to overwrite an object with its ACL."""
    for name in request.parameters:
        if name not in known and not name.startswith(("X-Amz-", "x-id", "response-")):
            raise S3Error("NotImplemented", f"this endpoint does not know {name!r}")


def _not_allowed(request: Request) -> S3Error:
    return S3Error("MethodNotAllowed", f"{request.method} is not allowed here")
