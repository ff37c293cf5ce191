"""Signed uploads and downloads, as the SDK makes them: with httpx against a real server."""

import hashlib
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import pytest_asyncio

from tests.http.blob_servers import MAX_UPLOAD, SIGNING, BlobServer, blob_server
from wingbeat.blobs.signing import OwnUrls

HOUR = timedelta(hours=1)
MD5 = hashlib.md5(b"data").digest()

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[BlobServer]:
    async with blob_server(tmp_path_factory.mktemp("blobs")) as server:
        yield server


@pytest.fixture
def server(running: BlobServer) -> Generator[BlobServer]:
    yield running
    running.empty()


@pytest_asyncio.fixture(loop_scope="module")
async def client() -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(verify=False) as client:
        yield client


@pytest.mark.parametrize("key", ["a/b.txt", "uploads/KRUGKIDROVUWG2Y=/my file.tar.gz", "p%20q/ü+&?#=;.x", "b\\[c]"])
async def test_what_was_uploaded_can_be_downloaded(server: BlobServer, client: httpx.AsyncClient, key: str) -> None:
    upload = await server.blobs.sign_put(key, HOUR, content_md5=MD5)
    put = await client.put(upload.url, content=b"data", headers=upload.headers)
    assert put.status_code == 200
    got = await client.get(await server.blobs.sign_get(key, HOUR))
    assert got.content == b"data"
    assert got.headers["etag"] == put.headers["etag"]
    assert got.headers["last-modified"].endswith("GMT")
    assert await server.blobs.get(key) == b"data"


async def test_a_download_can_be_a_range_or_only_headers(server: BlobServer, client: httpx.AsyncClient) -> None:
    await server.blobs.put("report.html", b"0123456789")
    url = await server.blobs.sign_get("report.html", HOUR)
    head = await client.head(url)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "10", b"")
    part = await client.get(url, headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, b"234")
    assert part.headers["content-range"] == "bytes 2-4/10"
    beyond = await client.get(url, headers={"Range": "bytes=10-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */10")
    same = await client.get(url, headers={"If-None-Match": head.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")


async def test_a_page_among_the_blobs_may_not_act_as_ours(server: BlobServer, client: httpx.AsyncClient) -> None:
    await server.blobs.put("report.html", b"<script>steal()</script>")
    response = await client.get(await server.blobs.sign_get("report.html", HOUR))
    assert response.headers["content-type"] == "text/html"
    assert response.headers["content-security-policy"] == "sandbox allow-scripts"
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_other_bytes_than_the_signed_ones_are_refused(server: BlobServer, client: httpx.AsyncClient) -> None:
    upload = await server.blobs.sign_put("a", HOUR, content_md5=MD5)
    assert (await client.put(upload.url, content=b"other")).status_code == 400
    free = await server.blobs.sign_put("a", HOUR)
    headers = {"Content-MD5": b64encode(MD5).decode()}
    assert (await client.put(free.url, content=b"other", headers=headers)).status_code == 400
    assert (await client.put(free.url, content=b"other", headers={"Content-MD5": "?"})).status_code == 400
    assert not await server.blobs.exists("a")
    assert (await client.put(free.url, content=b"other")).status_code == 200


async def test_a_url_is_good_for_one_method_and_one_key(server: BlobServer, client: httpx.AsyncClient) -> None:
    await server.blobs.put("a", b"data")
    await server.blobs.put("b", b"data")
    url = await server.blobs.sign_get("a", HOUR)
    assert (await client.put(url, content=b"x")).status_code == 403
    assert (await client.get(url.replace("/a?", "/b?"))).status_code == 403
    assert (await client.get(url.replace("signature=", "signature=0"))).status_code == 403
    assert (await client.get(url.partition("?")[0])).status_code == 403
    assert (await client.delete(url)).status_code == 405
    upload = await server.blobs.sign_put("a", HOUR, content_md5=MD5)
    stripped = upload.url.replace("md5=", "mdx=")
    assert (await client.put(stripped, content=b"x")).status_code == 403


async def test_a_late_upload_is_told_so_in_the_sdks_words(server: BlobServer, client: httpx.AsyncClient) -> None:
    late = OwnUrls(SIGNING, public_url=server.url, clock=lambda: datetime.now(UTC) - timedelta(hours=2))
    upload = await late.sign_put("a", HOUR)
    response = await client.put(upload.url, content=b"x")
    assert response.status_code == 403
    assert "request has expired" in response.text.lower()


async def test_an_upload_has_a_greatest_size(server: BlobServer, client: httpx.AsyncClient) -> None:
    upload = await server.blobs.sign_put("a", HOUR)

    async def unannounced() -> AsyncIterator[bytes]:
        yield b"x" * MAX_UPLOAD
        yield b"x"

    assert (await client.put(upload.url, content=b"x" * MAX_UPLOAD)).status_code == 200
    assert (await client.put(upload.url, content=b"x" * (MAX_UPLOAD + 1))).status_code == 413
    assert (await client.put(upload.url, content=unannounced())).status_code == 413
    assert (await server.blobs.head("a")).size == MAX_UPLOAD


async def test_what_is_missing_or_illegal_is_said_in_one_line(server: BlobServer, client: httpx.AsyncClient) -> None:
    missing = await client.get(await server.blobs.sign_get("none", HOUR))
    assert (missing.status_code, missing.text) == (404, "there is no blob 'none'\n")
    urls = OwnUrls(SIGNING, public_url=server.url, clock=lambda: datetime.now(UTC))
    traversal = (await urls.sign_get("../x", HOUR)).replace("/../", "/%2e%2e/")
    response = await client.get(traversal)
    assert (response.status_code, response.text) == (400, "blob key '../x' has the segment '..'\n")
    assert (await client.get(f"{server.url}/blobs/%ff?expires=1")).status_code == 400


async def test_a_url_carries_the_address_that_the_client_knows(server: BlobServer) -> None:
    url = await server.blobs.sign_get("a", HOUR, public_url="https://wingbeat.example/")
    assert url.startswith("https://wingbeat.example/blobs/a?expires=")
