"""S3 operations on one object, and DeleteObjects."""

from contextlib import suppress
from datetime import datetime
from urllib.parse import unquote

from wingbeat.blobs.blob import Blob
from wingbeat.blobs.directory import Directory
from wingbeat.errors import InvalidArgument, NotFound
from wingbeat.http.asgi import Request, Response, Send
from wingbeat.http.s3_auth import Authorized
from wingbeat.http.s3_upload import received, small_body
from wingbeat.http.s3_xml import Node, S3Error, parsed_xml, xml_response
from wingbeat.http.serving import send_blob

MAX_XML = 4 << 20
"""Bytes: a thousand of the longest keys, or ten thousand parts, fit."""
MAX_DELETES = 1000
REFUSALS = {
    304: None,
    412: ("PreconditionFailed", "the object is another one by now"),
    416: ("InvalidRange", "the range is not within the object"),
}


async def get(request: Request, send: Send, directory: Directory, key: str) -> Response | None:
    """GetObject and HeadObject."""
    try:
        refusal = await send_blob(send, request, directory, key)
    except (NotFound, InvalidArgument) as error:  # what cannot exist does not exist
        raise S3Error("NoSuchKey", f"there is no object {key!r}") from error
    if refusal is not None and (words := REFUSALS[refusal.status]):
        raise S3Error(*words, refusal.headers)
    return refusal


async def put(request: Request, authorized: Authorized, directory: Directory, key: str) -> Response:
    directory.path(key)
    async with received(request, authorized, directory) as file:
        blob = await directory.publish(file, key, overwrite=may_overwrite(request))
    return Response(200, {"etag": f'"{blob.etag}"'})


async def copy(request: Request, directory: Directory, key: str, bucket: str) -> Response:
    source = copy_source(request, bucket)
    try:
        blob = await directory.copy(source, key, overwrite=may_overwrite(request))
    except NotFound as error:
        raise S3Error("NoSuchKey", f"there is no object {source!r}") from error
    return xml_response("CopyObjectResult", copy_result(blob))


async def delete(directory: Directory, key: str) -> Response:
    await directory.delete(key)
    return Response(204)


async def delete_many(request: Request, authorized: Authorized, directory: Directory) -> Response:
    """DeleteObjects; an illegal key is deleted already."""
    order = parsed_xml(await small_body(request, authorized, limit=MAX_XML), "Delete")
    keys = [element.value("Key") for element in order.all("Object")]
    if len(keys) > MAX_DELETES:
        raise S3Error("MalformedXML", f"at most {MAX_DELETES} objects can be deleted at once")
    quiet = any(element.text.strip().lower() == "true" for element in order.all("Quiet"))
    for key in keys:
        with suppress(InvalidArgument):
            await directory.delete(key)
    deleted: list[Node] = [] if quiet else [("Deleted", [("Key", key)]) for key in keys]
    return xml_response("DeleteResult", deleted)


def copy_source(request: Request, bucket: str) -> str:
    """The key in x-amz-copy-source: "<bucket>/<key>", percent-encoded."""
    name, _, key = unquote(request.headers["x-amz-copy-source"]).removeprefix("/").partition("/")
    if name != bucket:
        raise S3Error("NoSuchBucket", f"there is no bucket {name!r}")
    return key


def copy_result(blob: Blob) -> list[Node]:
    return [("LastModified", iso(blob.modified)), ("ETag", f'"{blob.etag}"')]


def may_overwrite(request: Request) -> bool:
    """`If-None-Match: *` asks to create; any other condition on a write is refused, lest it be ignored."""
    condition = request.headers.get("if-none-match")
    if condition not in {None, "*"} or "if-match" in request.headers:
        raise S3Error("NotImplemented", "the only condition on a write is If-None-Match: *")
    return condition is None


def iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
