"""S3 operations on multipart uploads."""

from wingbeat.blobs.blob import Blob
from wingbeat.blobs.directory import Directory
from wingbeat.blobs.multipart import Part, Uploads
from wingbeat.errors import InvalidArgument, NotFound
from wingbeat.http.asgi import MAX_DIGITS, Request, Response, whole_number
from wingbeat.http.s3_auth import Authorized
from wingbeat.http.s3_objects import MAX_XML, copy_result, copy_source, iso, may_overwrite
from wingbeat.http.s3_upload import received, small_body
from wingbeat.http.s3_xml import Element, Node, S3Error, parsed_xml, xml_response
from wingbeat.http.serving import requested_span


async def create(uploads: Uploads, bucket: str, key: str) -> Response:
    upload_id = await uploads.create(key)
    return xml_response("InitiateMultipartUploadResult", [("Bucket", bucket), ("Key", key), ("UploadId", upload_id)])


async def put_part(
    request: Request, authorized: Authorized, directory: Directory, uploads: Uploads, key: str
) -> Response:
    async with received(request, authorized, directory) as file:
        blob = await uploads.put_part(key, upload_id(request), part_number(request), file)
    return Response(200, {"etag": f'"{blob.etag}"'})


async def copy_part(request: Request, directory: Directory, uploads: Uploads, key: str, bucket: str) -> Response:
    """UploadPartCopy, of the whole source or of x-amz-copy-source-range."""
    source = copy_source(request, bucket)
    try:
        async with directory.open(source) as opened, directory.stage() as file:
            start, end = _copied_span(request, opened.blob)
            async for chunk in opened.read(start, end):
                await file.write(chunk)
            part = await uploads.put_part(key, upload_id(request), part_number(request), file)
    except NotFound as error:
        raise S3Error("NoSuchKey", str(error)) from error
    return xml_response("CopyPartResult", copy_result(part))


async def list_parts(request: Request, uploads: Uploads, bucket: str, key: str) -> Response:
    parts = await uploads.parts(key, upload_id(request))
    nodes: list[Node] = [
        ("Bucket", bucket),
        ("Key", key),
        ("UploadId", upload_id(request)),
        ("IsTruncated", False),
        *(("Part", _part_nodes(number, blob)) for number, blob in parts),
    ]
    return xml_response("ListPartsResult", nodes)


async def complete(request: Request, authorized: Authorized, uploads: Uploads, bucket: str, key: str) -> Response:
    order = parsed_xml(await small_body(request, authorized, limit=MAX_XML), "CompleteMultipartUpload")
    parts = [_part(element) for element in order.all("Part")]
    try:
        blob = await uploads.complete(key, upload_id(request), parts, overwrite=may_overwrite(request))
    except InvalidArgument as error:
        raise S3Error("InvalidPart", str(error)) from error
    nodes: list[Node] = [("Bucket", bucket), ("Key", key), ("ETag", f'"{blob.etag}"')]
    return xml_response("CompleteMultipartUploadResult", nodes)


async def abort(request: Request, uploads: Uploads, key: str) -> Response:
    await uploads.abort(key, upload_id(request))
    return Response(204)


def upload_id(request: Request) -> str:
    if "uploadId" not in request.parameters:
        raise S3Error("NotImplemented", "parts are only known by the uploadId of their upload")
    return request.parameters["uploadId"]


def part_number(request: Request) -> int:
    return _number(request.parameters.get("partNumber", ""))


def _part(element: Element) -> Part:
    return Part(_number(element.value("PartNumber")), element.value("ETag").strip('"'))


def _number(text: str) -> int:
    number = whole_number(text)
    if number is None:
        raise S3Error("InvalidArgument", f"{text[:MAX_DIGITS]!r} is not a part number")
    return number


def _part_nodes(number: int, blob: Blob) -> list[Node]:
    return [
        ("PartNumber", number),
        ("LastModified", iso(blob.modified)),
        ("ETag", f'"{blob.etag}"'),
        ("Size", blob.size),
    ]


def _copied_span(request: Request, source: Blob) -> tuple[int, int]:
    header = request.headers.get("x-amz-copy-source-range")
    span = requested_span(header, source.size)
    if header is not None and (span is None or span[0] == span[1]):
        raise S3Error("InvalidRange", f"x-amz-copy-source-range is not within the {source.size} bytes")
    return span or (0, source.size)
