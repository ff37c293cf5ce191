"""S3 operations on the bucket: ListObjects in both versions, and the little that clients ask of a bucket."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from urllib.parse import quote

from wingbeat.blobs.blob import Blob, Page
from wingbeat.blobs.directory import PAGE_SIZE, Directory
from wingbeat.http.asgi import MAX_DIGITS, Request, Response, whole_number
from wingbeat.http.s3_objects import iso
from wingbeat.http.s3_xml import Node, S3Error, xml_response


async def list_objects(request: Request, directory: Directory, bucket: str) -> Response:
    """ListObjectsV2, or ListObjects for clients that do not ask for list-type=2."""
    parameters = request.parameters
    delimiter = parameters.get("delimiter", "")
    if delimiter not in {"", "/"}:
        raise S3Error("NotImplemented", "the only delimiter is '/'")
    limit = _limit(parameters)
    version2 = parameters.get("list-type") == "2"
    after = _after_v2(parameters) if version2 else parameters.get("marker", "")
    page = await directory.page(parameters.get("prefix", ""), after=after, limit=limit, delimited=bool(delimiter))
    shown = _shown(parameters)
    nodes: list[Node] = [
        ("Name", bucket),
        ("Prefix", shown(parameters.get("prefix", ""))),
        ("MaxKeys", limit),
        ("IsTruncated", page.after is not None),
    ]
    if delimiter:
        nodes.append(("Delimiter", delimiter))
    if "encoding-type" in parameters:
        nodes.append(("EncodingType", "url"))
    nodes += _position_v2(parameters, page, shown) if version2 else _position_v1(parameters, page, shown)
    nodes += [("Contents", _contents(blob, shown)) for blob in page.blobs]
    nodes += [("CommonPrefixes", [("Prefix", shown(folder))]) for folder in page.folders]
    return xml_response("ListBucketResult", nodes)


def list_buckets(bucket: str) -> Response:
    buckets: list[Node] = [("Bucket", [("Name", bucket)])]
    return xml_response("ListAllMyBucketsResult", [("Buckets", buckets)])


def location() -> Response:
    """Empty, which means us-east-1: the region that clients assume when they are told none."""
    return xml_response("LocationConstraint", [])


def _limit(parameters: Mapping[str, str]) -> int:
    text = parameters.get("max-keys", str(PAGE_SIZE))
    limit = whole_number(text)
    if limit is None:
        raise S3Error("InvalidArgument", f"max-keys is {text[:MAX_DIGITS]!r}, not a number")
    return min(limit, PAGE_SIZE)


def _after_v2(parameters: Mapping[str, str]) -> str:
    token = parameters.get("continuation-token")
    if token is None:
        return parameters.get("start-after", "")
    try:
        return urlsafe_b64decode(token).decode()
    except ValueError as error:
        raise S3Error("InvalidArgument", "the continuation token is not one of ours") from error


def _position_v2(parameters: Mapping[str, str], page: Page, shown: Callable[[str], str]) -> list[Node]:
    nodes: list[Node] = [("KeyCount", len(page.blobs) + len(page.folders))]
    if "continuation-token" in parameters:
        nodes.append(("ContinuationToken", parameters["continuation-token"]))
    if "start-after" in parameters:
        nodes.append(("StartAfter", shown(parameters["start-after"])))
    if page.after is not None:
        nodes.append(("NextContinuationToken", urlsafe_b64encode(page.after.encode()).decode()))
    return nodes


def _position_v1(parameters: Mapping[str, str], page: Page, shown: Callable[[str], str]) -> list[Node]:
    nodes: list[Node] = [("Marker", shown(parameters.get("marker", "")))]
    if page.after is not None:
        nodes.append(("NextMarker", shown(page.after)))
    return nodes


def _contents(blob: Blob, shown: Callable[[str], str]) -> list[Node]:
    return [
        ("Key", shown(blob.key)),
        ("LastModified", iso(blob.modified)),
        ("ETag", f'"{blob.etag}"'),
        ("Size", blob.size),
        ("StorageClass", "STANDARD"),
    ]


def _shown(parameters: Mapping[str, str]) -> Callable[[str], str]:
    encoding = parameters.get("encoding-type")
    if encoding not in {None, "url"}:
        raise S3Error("InvalidArgument", "encoding-type can only be url")
    return _as_is if encoding is None else quote


def _as_is(text: str) -> str:
    return text
