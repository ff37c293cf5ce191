"""The S3 endpoint as obstore sees it: the client inside the SDK."""

import os
from collections.abc import AsyncGenerator, Generator

import obstore
import pytest
import pytest_asyncio
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, PreconditionError
from obstore.store import S3Store

from tests.http.blob_servers import BlobServer, blob_server

ODD_KEYS = [
    "a=b===/file name.txt",
    "p%20q/100%.txt",
    "ümlaut/日本/🦋.bin",
    "plus+and&amp;/semi;colon,comma",
    "q?x=1/hash#1",
    "b(r)a[c]k{e}t/!$'*:@~^|`\"<>\\",
    "..a/b../...",
]

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def listed(client: S3Store, prefix: str | None = None, *, offset: str | None = None) -> list[str]:
    stream = client.list_async(prefix, offset=offset)
    return [found["path"] async for batch in stream for found in batch]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["h11", "zttp"])
async def running(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncGenerator[BlobServer]:
    async with blob_server(tmp_path_factory.mktemp("blobs"), http=request.param) as server:
        yield server


@pytest.fixture
def server(running: BlobServer) -> Generator[BlobServer]:
    yield running
    running.empty()


async def test_an_object_comes_back_as_it_was_put(server: BlobServer) -> None:
    client = server.client()
    put = await client.put_async("a/b.txt", b"hello")
    found = await client.get_async("a/b.txt")
    assert bytes(await found.bytes_async()) == b"hello"
    assert found.meta["e_tag"] == put["e_tag"]
    assert found.meta["size"] == 5
    assert (server.root / "a/b.txt").read_bytes() == b"hello"


async def test_an_empty_object_comes_back_empty(server: BlobServer) -> None:
    client = server.client()
    await client.put_async("empty", b"")
    assert bytes(await (await client.get_async("empty")).bytes_async()) == b""


async def test_ranges_are_cut_from_start_middle_and_end(server: BlobServer) -> None:
    client = server.client()
    await client.put_async("digits", b"0123456789")
    assert bytes(await client.get_range_async("digits", start=0, end=3)) == b"012"
    assert bytes(await client.get_range_async("digits", start=4, end=100)) == b"456789"
    tail = await client.get_async("digits", options={"range": {"suffix": 2}})
    assert bytes(await tail.bytes_async()) == b"89"
    with pytest.raises(BaseError, match="416"):
        await client.get_range_async("digits", start=10, end=12)


@pytest.mark.parametrize("key", ODD_KEYS)
async def test_odd_characters_in_keys_round_trip(server: BlobServer, key: str) -> None:
    client = server.client()
    await client.put_async(key, b"odd")
    assert await listed(client) == [key]
    assert await listed(client, key.rpartition("/")[0]) == [key]
    await client.copy_async(key, f"copies/{key}")
    assert bytes(await (await client.get_async(f"copies/{key}")).bytes_async()) == b"odd"
    await client.delete_async([key, f"copies/{key}"])
    assert await listed(client) == []


async def test_what_is_missing_is_not_found(server: BlobServer) -> None:
    client = server.client()
    await client.put_async("folder/object", b"x")
    for key in ["none", "folder", "folder/object/below"]:
        with pytest.raises(FileNotFoundError):
            await client.get_async(key)
        with pytest.raises(FileNotFoundError):
            await client.head_async(key)
    with pytest.raises(FileNotFoundError):
        await client.copy_async("none", "some")


async def test_create_does_not_overwrite(server: BlobServer) -> None:
    client = server.client()
    await client.put_async("once", b"first", mode="create")
    with pytest.raises(AlreadyExistsError):
        await client.put_async("once", b"second", mode="create")
    assert (server.root / "once").read_bytes() == b"first"


async def test_reads_can_be_bound_to_an_etag(server: BlobServer) -> None:
    client = server.client()
    old = (await client.put_async("x", b"old"))["e_tag"]
    await client.put_async("x", b"new")
    with pytest.raises(PreconditionError):
        await client.get_async("x", options={"if_match": old})
    assert await client.get_async("x", options={"if_none_match": old})


async def test_a_listing_pages_in_key_order(server: BlobServer) -> None:
    client = server.client()
    keys = sorted(f"{folder}/{n:04}" for folder in ["a", "a-b", "a.b", "b"] for n in range(301))
    for key in keys:
        path = server.root / key
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    assert await listed(client) == keys
    assert await listed(client, "a") == [key for key in keys if key < "a0" and "a/" in key]
    assert await listed(client, offset="a/0299") == keys[keys.index("a/0299") + 1 :]
    delimited = await client.list_with_delimiter_async()
    assert delimited["common_prefixes"] == ["a", "a-b", "a.b", "b"]
    assert len((await client.list_with_delimiter_async("b"))["objects"]) == 301


async def test_a_multipart_upload_arrives_whole(server: BlobServer) -> None:
    client = server.client()
    data = os.urandom(20 << 20)
    put = await client.put_async("big", data, use_multipart=True, chunk_size=5 << 20, max_concurrency=3)
    found = await client.get_async("big")
    assert bytes(await found.bytes_async()) == data
    assert put["e_tag"] == found.meta["e_tag"]
    async with obstore.open_writer_async(client, "written") as writer:
        await writer.write(data[: 11 << 20])
    assert (await client.head_async("written"))["size"] == 11 << 20
    assert await listed(client) == ["big", "written"]


async def test_a_wrong_secret_is_refused(server: BlobServer) -> None:
    with pytest.raises(PermissionDeniedError):
        await server.client(secret="wrong").put_async("x", b"x")
    assert await server.blobs.exists("x") is False
