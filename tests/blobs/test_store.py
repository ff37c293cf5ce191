import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from wingbeat.blobs.signing import SigningKey
from wingbeat.blobs.store import Blobs, open_blobs
from wingbeat.errors import InvalidArgument, NotFound, StartError

SIGNING = SigningKey(b"k" * 32)


def opened(uri: str) -> Blobs:
    return open_blobs(uri, signing=SIGNING, public_url="http://127.0.0.1:8080")


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return opened(str(tmp_path / "blobs"))


async def test_a_key_and_its_native_uri_mean_the_same_blob(blobs: Blobs) -> None:
    uri = blobs.uri("uploads/a=b==/my file%20.txt")
    assert uri == "s3://wingbeat/uploads/a=b==/my file%20.txt"
    await blobs.put(uri, b"data")
    assert await blobs.get(blobs.key(uri)) == b"data"
    assert await blobs.exists(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://other/key",
        "s3://wingbeat",
        "s3://wingbeat/",
        "s3://wingbeatx/key",
        "file:///etc/passwd",
        "s3://wingbeat/../x",
    ],
)
async def test_a_foreign_uri_is_refused(blobs: Blobs, uri: str) -> None:
    with pytest.raises(InvalidArgument):
        blobs.key(uri)
    with pytest.raises(InvalidArgument):
        await blobs.get(uri)


async def test_streams_go_in_and_come_out(blobs: Blobs) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * (1 << 20)

    blob = await blobs.write("stream", chunks())
    assert blob.size == 3 << 20
    assert b"".join([chunk async for chunk in blobs.read("stream", start=5, end=10)]) == b"xxxxx"
    assert sum([len(chunk) async for chunk in blobs.read("stream")]) == 3 << 20
    assert [found.key async for found in blobs.list("str")] == ["stream"]
    await blobs.copy("stream", "copy")
    await blobs.delete("stream")
    assert await blobs.md5("copy") == hashlib.md5(b"x" * (3 << 20)).digest()
    with pytest.raises(NotFound):
        await blobs.head("stream")


@pytest.mark.parametrize("expires", [timedelta(0), timedelta(seconds=-1), timedelta(days=8)])
async def test_a_signed_url_lives_for_a_while_and_not_for_ever(blobs: Blobs, expires: timedelta) -> None:
    with pytest.raises(InvalidArgument):
        await blobs.sign_get("a", expires)
    with pytest.raises(InvalidArgument):
        await blobs.sign_put("a", expires)


async def test_an_md5_to_sign_has_16_bytes(blobs: Blobs) -> None:
    with pytest.raises(InvalidArgument):
        await blobs.sign_put("a", timedelta(hours=1), content_md5=b"short")


def test_a_file_uri_is_a_directory(tmp_path: Path) -> None:
    blobs = opened(f"file://{tmp_path}/with%20space")
    assert blobs.directory
    assert blobs.directory.root == tmp_path / "with space"
    assert blobs.base_uri == "s3://wingbeat"


@pytest.mark.parametrize(
    ("uri", "base"),
    [
        ("s3://bucket/some/prefix/", "s3://bucket/some/prefix"),
        ("gs://bucket", "gs://bucket"),
        ("abfs://container@account.dfs.core.windows.net/x", "abfs://container@account.dfs.core.windows.net/x"),
    ],
)
def test_a_bucket_keeps_its_own_uris(uri: str, base: str) -> None:
    blobs = opened(uri)
    assert blobs.directory is None
    assert blobs.uri("key") == f"{base}/key"
    assert blobs.key(f"{base}/key") == "key"


@pytest.mark.parametrize("uri", ["", "ftp://host/x", "s3://", "file://host/x", "memory://", "/dev/null/blobs"])
def test_a_bad_uri_stops_the_start_in_one_line(uri: str) -> None:
    with pytest.raises(StartError) as failure:
        opened(uri)
    assert "\n" not in str(failure.value)


def test_a_short_signing_key_is_no_key() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        SigningKey(b"short")


async def test_what_is_below_a_prefix_goes_a_bounded_number_at_a_time(blobs: Blobs) -> None:
    for key in ("run/a", "run/b/c", "run/b/d", "run2/a", "ru/a"):
        await blobs.put(key, b"1234")
    assert await blobs.remove_below(blobs.uri("run") + "/", limit=2) == 2
    assert await blobs.remove_below("run/", limit=2, only=lambda rest: rest == "nothing") == 0
    assert await blobs.remove_below("run/", limit=2) == 1
    assert await blobs.remove_below("run/", limit=2) == 0
    assert [blob.key async for blob in blobs.list()] == ["ru/a", "run2/a"]
    assert blobs.directory
    assert not blobs.directory.path("run").exists()


async def test_nothing_is_removed_below_another_store(blobs: Blobs) -> None:
    for place in ("s3://other/run/", "", "/", "run//"):
        with pytest.raises(InvalidArgument):
            await blobs.remove_below(place, limit=9)
