"""The S3 endpoint beneath its clients: signatures, streamed bodies, errors and memory, request by request."""

import asyncio
import base64
import gc
import hashlib
import hmac
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, unquote

import httpx
import obstore
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psutil import Process

from tests.http.blob_servers import CREDENTIALS, BlobServer, blob_server
from wingbeat.blobs import keys
from wingbeat.blobs.bucket import Bucket
from wingbeat.blobs.directory import READ_SIZE, Directory
from wingbeat.blobs.store import Blobs
from wingbeat.errors import AlreadyExists, NotFound
from wingbeat.http.asgi import Message
from wingbeat.http.s3 import S3Endpoint
from wingbeat.http.s3_xml import parsed_xml

EMPTY = hashlib.sha256().hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Signature:
    """Signature Version 4, the sending end, for one request and the chunks of its body."""

    def __init__(self, method: str, url: str, payload: str, headers: Mapping[str, str], at: datetime) -> None:
        parsed = httpx.URL(url)
        self.stamp = at.strftime("%Y%m%dT%H%M%SZ")
        self.scope = f"{self.stamp[:8]}/us-east-1/s3/aws4_request"
        sent = {"host": parsed.netloc.decode(), "x-amz-content-sha256": payload, "x-amz-date": self.stamp, **headers}
        names = sorted(sent)
        path = quote(unquote(parsed.raw_path.decode().partition("?")[0]), safe="/-_.~")
        pairs = sorted((quote(k, safe="-_.~"), quote(v, safe="-_.~")) for k, v in parsed.params.multi_items())
        query = "&".join(f"{name}={value}" for name, value in pairs)
        lines = [method, path, query, *(f"{n}:{sent[n]}" for n in names), "", ";".join(names), payload]
        self.value = self.sign("AWS4-HMAC-SHA256", hashlib.sha256("\n".join(lines).encode()).hexdigest())
        credential = f"{CREDENTIALS.access_key_id}/{self.scope}"
        authorization = (
            f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={';'.join(names)}, Signature={self.value}"
        )
        self.headers = {**sent, "authorization": authorization}

    def sign(self, kind: str, *lines: str) -> str:
        key = f"AWS4{CREDENTIALS.secret_access_key}".encode()
        for part in (self.stamp[:8], "us-east-1", "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        text = "\n".join([kind, self.stamp, self.scope, *lines])
        return hmac.digest(key, text.encode(), "sha256").hex()

    def chunks(self, *pieces: bytes, trailer: str = "") -> bytes:
        """aws-chunked, every chunk signed."""
        body, previous = b"", self.value
        for piece in [*pieces, b""]:
            previous = self.sign("AWS4-HMAC-SHA256-PAYLOAD", previous, EMPTY, hashlib.sha256(piece).hexdigest())
            end = b"\r\n" if piece else b""
            body += f"{len(piece):x};chunk-signature={previous}\r\n".encode() + piece + end
        if trailer:
            signature = self.sign(
                "AWS4-HMAC-SHA256-TRAILER", previous, hashlib.sha256(f"{trailer}\n".encode()).hexdigest()
            )
            body += f"{trailer}\r\nx-amz-trailer-signature:{signature}\r\n".encode()
        return body + b"\r\n"


class Caller:
    def __init__(self, server: BlobServer, client: httpx.AsyncClient) -> None:
        self.base = f"{server.url}/s3/wingbeat"
        self.client = client

    def sign(
        self,
        method: str,
        path: str,
        payload: str = UNSIGNED,
        *,
        headers: Mapping[str, str] | None = None,
        at: datetime | None = None,
    ) -> Signature:
        return Signature(method, self.base + path, payload, headers or {}, at or datetime.now(UTC))

    async def call(
        self,
        method: str,
        path: str,
        content: bytes | AsyncIterator[bytes] = b"",
        payload: str = UNSIGNED,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        signed = self.sign(method, path, payload, headers=headers).headers
        return await self.client.request(method, self.base + path, content=content, headers=signed)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[BlobServer]:
    async with blob_server(tmp_path_factory.mktemp("blobs")) as server:
        yield server


@pytest.fixture
def server(running: BlobServer) -> Generator[BlobServer]:
    yield running
    running.empty()


@pytest_asyncio.fixture(loop_scope="module")
async def caller(server: BlobServer) -> AsyncGenerator[Caller]:
    async with httpx.AsyncClient(verify=False) as client:
        yield Caller(server, client)


def code(response: httpx.Response) -> str:
    return parsed_xml(response.content, "Error").value("Code")


async def test_a_hashed_body_must_have_its_hash(server: BlobServer, caller: Caller) -> None:
    right = hashlib.sha256(b"data").hexdigest()
    assert (await caller.call("PUT", "/a", b"data", right)).status_code == 200
    wrong = await caller.call("PUT", "/a", b"atad", right)
    assert (wrong.status_code, code(wrong)) == (400, "XAmzContentSHA256Mismatch")
    assert await server.blobs.get("a") == b"data"


async def test_chunks_with_signatures_are_unpacked(server: BlobServer, caller: Caller) -> None:
    pieces = (b"x" * 65536, b"y" * 100)
    extra = {"x-amz-decoded-content-length": "65636", "content-encoding": "aws-chunked"}
    signature = caller.sign("PUT", "/a", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", headers=extra)
    body = signature.chunks(*pieces)
    put = await caller.client.put(f"{caller.base}/a", content=body, headers=signature.headers)
    assert put.status_code == 200
    assert await server.blobs.get("a") == b"".join(pieces)
    forged = body.replace(b"y" * 100, b"z" * 100)
    refused = await caller.client.put(f"{caller.base}/a", content=forged, headers=signature.headers)
    assert (refused.status_code, code(refused)) == (403, "SignatureDoesNotMatch")
    cut = await caller.client.put(f"{caller.base}/a", content=body[:60000], headers=signature.headers)
    assert (cut.status_code, code(cut)) == (400, "IncompleteBody")


async def test_signed_trailers_are_checked(server: BlobServer, caller: Caller) -> None:
    checksum = base64.b64encode(hashlib.sha256(b"data").digest()).decode()
    extra = {"x-amz-decoded-content-length": "4", "x-amz-trailer": "x-amz-checksum-sha256"}
    signature = caller.sign("PUT", "/a", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", headers=extra)
    body = signature.chunks(b"data", trailer=f"x-amz-checksum-sha256:{checksum}")
    put = await caller.client.put(f"{caller.base}/a", content=body, headers=signature.headers)
    assert put.status_code == 200, put.text
    forged = body.replace(checksum.encode(), checksum.swapcase().encode())
    refused = await caller.client.put(f"{caller.base}/a", content=forged, headers=signature.headers)
    assert code(refused) == "SignatureDoesNotMatch"
    assert await server.blobs.get("a") == b"data"


@pytest.mark.parametrize(
    ("name", "checksum"),
    [
        ("crc32", zlib.crc32(b"data").to_bytes(4, "big")),
        ("sha1", hashlib.sha1(b"data").digest()),
        ("sha256", hashlib.sha256(b"data").digest()),
    ],
)
async def test_an_unsigned_trailer_must_fit_the_body(
    server: BlobServer, caller: Caller, name: str, checksum: bytes
) -> None:
    async def put(data: bytes) -> httpx.Response:
        trailer = f"x-amz-checksum-{name}:{base64.b64encode(checksum).decode()}"
        body = b"4\r\n" + data + f"\r\n0\r\n{trailer}\r\n\r\n".encode()
        extra = {"x-amz-decoded-content-length": "4", "x-amz-trailer": f"x-amz-checksum-{name}"}
        return await caller.call("PUT", "/a", body, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", headers=extra)

    assert (await put(b"data")).status_code == 200
    refused = await put(b"atad")
    assert (refused.status_code, code(refused)) == (400, "BadDigest")
    assert await server.blobs.get("a") == b"data"


async def test_checksums_in_headers_must_fit_the_body(caller: Caller) -> None:
    md5 = base64.b64encode(hashlib.md5(b"data").digest()).decode()
    assert (await caller.call("PUT", "/a", b"data", headers={"content-md5": md5})).status_code == 200
    assert code(await caller.call("PUT", "/a", b"atad", headers={"content-md5": md5})) == "BadDigest"
    assert code(await caller.call("PUT", "/a", b"data", headers={"content-md5": "?"})) == "InvalidDigest"


async def test_only_signed_and_recent_requests_are_answered(server: BlobServer, caller: Caller) -> None:
    async def get(headers: Mapping[str, str], query: str = "") -> str:
        return code(await caller.client.get(f"{caller.base}/a{query}", headers=headers))

    await server.blobs.put("a", b"secret")
    right = caller.sign("GET", "/a").headers
    late = caller.sign("GET", "/a", at=datetime.now(UTC) - timedelta(minutes=16)).headers
    assert await get({}) == "AccessDenied"
    assert await get(late) == "RequestTimeTooSkewed"
    assert await get({**right, "x-amz-copy-source": "/wingbeat/b"}) == "AccessDenied"
    assert await get({**right, "authorization": "Basic x"}) == "AuthorizationHeaderMalformed"
    assert await get({**right, "x-amz-date": "now"}) == "AuthorizationHeaderMalformed"
    unknown = right["authorization"].replace(CREDENTIALS.access_key_id, "AKIAOTHER")
    assert await get({**right, "authorization": unknown}) == "InvalidAccessKeyId"
    assert await get(right, "?prefix=x") == "SignatureDoesNotMatch"
    assert await get({}, "?X-Amz-Signature=x") == "AuthorizationQueryParametersError"
    assert (await caller.client.get(f"{caller.base}/a", headers=right)).content == b"secret"


async def test_a_presigned_url_works_until_it_expires(server: BlobServer) -> None:
    await server.blobs.put("a b", b"data")
    client = server.client()
    url = await obstore.sign_async(client, "GET", "a b", timedelta(hours=1))
    async with httpx.AsyncClient(verify=False) as plain:
        assert (await plain.get(url)).content == b"data"
        assert code(await plain.get(url.replace("Expires=3600", "Expires=7200"))) == "SignatureDoesNotMatch"
        assert code(await plain.put(url, content=b"x")) == "SignatureDoesNotMatch"


async def test_what_nobody_has_signed_so_is_refused_whatever_its_letters(caller: Caller) -> None:
    credential = f"{CREDENTIALS.access_key_id}/{datetime.now(UTC):%Y%m%d}/r/s3/aws4_request"
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    said = {"Algorithm": "AWS4-HMAC-SHA256", "Credential": credential, "Date": stamp, "Expires": "60"}
    for signature, names in (("é", "host"), ("0" * 64, "host;€")):
        query = {f"X-Amz-{name}": value for name, value in said.items()}
        query |= {"X-Amz-Signature": signature, "X-Amz-SignedHeaders": names}
        assert code(await caller.client.get(f"{caller.base}/a", params=query)) == "SignatureDoesNotMatch"
    streamed = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    body = "1;chunk-signature=é\r\nx\r\n".encode("latin-1")
    refused = await caller.call("PUT", "/a", body, streamed, headers={"x-amz-decoded-content-length": "1"})
    assert code(refused) == "SignatureDoesNotMatch"


@pytest.mark.parametrize("query", ["?max-keys={}", "?list-type=2&max-keys={}"])
async def test_numbers_are_no_larger_than_what_they_count(caller: Caller, query: str) -> None:
    assert code(await caller.call("GET", query.format("9" * 5000))) == "InvalidArgument"
    upload = "/a?uploadId=none&partNumber=" + "9" * 5000
    assert code(await caller.call("PUT", upload, b"x")) == "InvalidArgument"


async def test_what_is_not_known_is_refused_rather_than_ignored(caller: Caller) -> None:
    await caller.call("PUT", "/a", b"data")
    assert code(await caller.call("PUT", "/a?acl", b"<AccessControlPolicy/>")) == "NotImplemented"
    assert code(await caller.call("GET", "?versioning")) == "NotImplemented"
    assert code(await caller.call("POST", "/a")) == "MethodNotAllowed"
    assert code(await caller.call("PUT", "/a", b"x", headers={"if-match": '"etag"'})) == "NotImplemented"
    assert code(await caller.call("PUT", "/a?partNumber=1&uploadId=none", b"x")) == "NoSuchUpload"
    assert code(await caller.call("GET", "?delimiter=-")) == "NotImplemented"
    assert code(await caller.call("POST", "?delete", b"<Delete>")) == "MalformedXML"
    assert (await caller.call("GET", "/a")).content == b"data"


async def test_objects_are_deleted_together(server: BlobServer, caller: Caller) -> None:
    for key in ["a&b", "c", "d"]:
        await server.blobs.put(key, b"")
    order = (
        '<?xml version="1.0"?><Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        "<Object><Key>a&amp;b</Key></Object><Object><Key>c</Key></Object><Object><Key>none</Key></Object></Delete>"
    )
    response = await caller.call("POST", "?delete", order.encode())
    deleted = parsed_xml(response.content, "DeleteResult").all("Deleted")
    assert [element.value("Key") for element in deleted] == ["a&b", "c", "none"]
    assert [blob.key async for blob in server.blobs.list()] == ["d"]


async def test_parts_can_be_copied_from_objects(server: BlobServer, caller: Caller) -> None:
    await server.blobs.put("digits", b"0123456789")
    created = await caller.call("POST", "/copy?uploads")
    upload = parsed_xml(created.content, "InitiateMultipartUploadResult").value("UploadId")
    etags: list[str] = []
    for number, span in [(1, "bytes=5-9"), (2, "bytes=0-4")]:
        source = {"x-amz-copy-source": "/wingbeat/digits", "x-amz-copy-source-range": span}
        part = await caller.call("PUT", f"/copy?partNumber={number}&uploadId={upload}", headers=source)
        etags.append(parsed_xml(part.content, "CopyPartResult").value("ETag"))
    listed = await caller.call("GET", f"/copy?uploadId={upload}")
    assert [part.value("ETag") for part in parsed_xml(listed.content, "ListPartsResult").all("Part")] == etags
    parts = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag></Part>" for n, etag in enumerate(etags, 1))
    order = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    for _ in range(2):  # a client that lost the answer asks again
        assert (await caller.call("POST", f"/copy?uploadId={upload}", order)).status_code == 200
    assert await server.blobs.get("copy") == b"5678901234"


SIZE = 200 << 20
BLOCK = b"0123456789abcdef" * 4096


async def test_a_large_object_passes_through_little_memory(server: BlobServer, caller: Caller) -> None:
    gc.collect()
    memory = Process().memory_info
    before = memory().rss
    peak = before

    async def generated() -> AsyncIterator[bytes]:
        nonlocal peak
        for _ in range(SIZE // len(BLOCK)):
            yield BLOCK
            peak = max(peak, memory().rss)

    assert (await caller.call("PUT", "/large", generated())).status_code == 200
    headers = caller.sign("GET", "/large").headers
    size = 0
    async with caller.client.stream("GET", f"{caller.base}/large", headers=headers) as response:
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            peak = max(peak, memory().rss)
    assert size == SIZE == (await server.blobs.head("large")).size
    assert peak - before < 32 << 20


async def test_a_download_ends_when_its_client_has_left(tmp_path: Path) -> None:
    directory = Directory(tmp_path, fsync=False)
    await directory.put("large", b"x" * (20 * READ_SIZE))
    signed = Signature("GET", "http://test/s3/wingbeat/large", UNSIGNED, {}, datetime.now(UTC)).headers
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        await asyncio.sleep(0)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/s3/wingbeat/large",
        "raw_path": b"/s3/wingbeat/large",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in signed.items()],
    }
    await S3Endpoint(directory, CREDENTIALS, clock=lambda: datetime.now(UTC))(scope, receive, send)
    assert sent[0]["status"] == 200
    assert len(sent) < 5


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.text(st.sampled_from("ab./%\\2eF ;?#é\x00\ud7ff"), max_size=14),
    method=st.sampled_from(["GET", "PUT", "DELETE"]),
)
async def test_no_path_leaves_the_directory(tmp_path: Path, path: str, method: str) -> None:
    root = tmp_path / "outer" / "blobs"
    endpoint = S3Endpoint(Directory(root, fsync=False), CREDENTIALS, clock=lambda: datetime.now(UTC))
    transport = httpx.ASGITransport(endpoint)  # raises what the endpoint raises
    raw_path = f"/s3/wingbeat/{quote(path, safe='./%')}"
    url = httpx.URL("http://test", raw_path=raw_path.encode())
    signed = Signature(method, str(url), UNSIGNED, {}, datetime.now(UTC)).headers
    async with httpx.AsyncClient(transport=transport) as client:
        request = client.build_request(method, url, headers=signed)
        response = await client.send(request)
    assert response.status_code in {200, 204, 400, 403, 404, 405, 409}
    assert [entry.name for entry in root.parent.iterdir()] == ["blobs"]
    assert all(keys.is_legal(str(found.relative_to(root))) for found in root.rglob("*"))


async def test_a_bucket_behaves_as_the_directory_does(server: BlobServer) -> None:
    bucket = Bucket(server.client())
    blobs = Blobs(bucket, bucket, base_uri="s3://wingbeat")
    await blobs.put("a/b", b"data", overwrite=False)
    with pytest.raises(AlreadyExists):
        await blobs.put("a/b", b"other", overwrite=False)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(12):
            yield b"x" * (1 << 20)

    assert (await blobs.write("a/stream", chunks())).size == 12 << 20
    assert b"".join([chunk async for chunk in blobs.read("a/b", start=1, end=3)]) == b"at"
    assert [blob.key async for blob in blobs.list("a/s")] == ["a/stream"]
    for key in ("run/1", "run/2/3", "run2/1"):
        await blobs.put(key, b"1234")
    assert await blobs.remove_below("run/", limit=1) == 1
    assert await blobs.remove_below("s3://wingbeat/run/", limit=9) == 1
    assert [blob.key async for blob in blobs.list("run")] == ["run2/1"]
    await blobs.copy("a/b", "c")
    for _ in range(2):
        await blobs.delete("a/b")
    with pytest.raises(NotFound):
        await blobs.get("a/b")
    async with httpx.AsyncClient(verify=False) as client:
        assert (await client.get(await blobs.sign_get("c", timedelta(hours=1)))).content == b"data"
        upload = await blobs.sign_put("d", timedelta(hours=1), content_md5=hashlib.md5(b"new").digest())
        assert (await client.put(upload.url, content=b"new", headers=upload.headers)).status_code == 200
    assert await server.blobs.get("d") == b"new"
