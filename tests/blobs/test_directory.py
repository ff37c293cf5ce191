import asyncio
import os
import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wingbeat.blobs import walk
from wingbeat.blobs.blob import Blob
from wingbeat.blobs.directory import Directory
from wingbeat.blobs.multipart import Part, Uploads
from wingbeat.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path / "blobs")


async def keys_of(directory: Directory, prefix: str = "") -> list[str]:
    return [blob.key async for blob in directory.list(prefix)]


def leftovers(directory: Directory) -> list[Path]:
    return list(directory.staging.iterdir())


async def test_a_put_answers_what_head_answers_later(directory: Directory) -> None:
    put = await directory.put("a/b", b"data")
    assert await directory.head("a/b") == put
    assert await directory.get("a/b") == b"data"
    assert leftovers(directory) == []


def test_a_directory_that_is_made_is_for_nobody_else(tmp_path: Path) -> None:
    Directory(tmp_path / "new" / "blobs")
    assert stat.S_IMODE((tmp_path / "new" / "blobs").stat().st_mode) == 0o700


async def test_every_write_has_another_etag(directory: Directory) -> None:
    first = await directory.put("a", b"same")
    second = await directory.put("a", b"same")
    assert first.etag != second.etag


async def test_a_failed_write_leaves_what_was_there(directory: Directory) -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield b"half"
        raise RuntimeError("gone")

    await directory.put("a", b"whole")
    with pytest.raises(RuntimeError):
        await directory.write("a", breaks())
    assert await directory.get("a") == b"whole"
    assert leftovers(directory) == []


async def test_a_cancelled_write_leaves_nothing(directory: Directory) -> None:
    reached = asyncio.Event()

    async def stalls() -> AsyncIterator[bytes]:
        yield b"half" * (1 << 20)
        reached.set()
        await asyncio.Event().wait()

    writing = asyncio.create_task(directory.write("a", stalls()))
    await reached.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert leftovers(directory) == []
    assert await keys_of(directory) == []


async def test_a_blob_and_a_folder_cannot_share_a_name(directory: Directory) -> None:
    await directory.put("a", b"")
    await directory.put("b/c", b"")
    for key in ["a/b", "b"]:
        with pytest.raises(FailedPrecondition):
            await directory.put(key, b"")
        with pytest.raises(FailedPrecondition):
            await directory.put(key, b"", overwrite=False)


async def test_of_many_creators_one_wins(directory: Directory) -> None:
    puts = [directory.put("once", b"%d" % n, overwrite=False) for n in range(8)]
    outcomes = await asyncio.gather(*puts, return_exceptions=True)
    assert sum(isinstance(outcome, Blob) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, AlreadyExists) for outcome in outcomes) == 7


async def test_a_reader_keeps_what_it_opened(directory: Directory) -> None:
    await directory.put("a", b"old")
    async with directory.open("a") as opened:
        await directory.put("a", b"newer")
        assert b"".join([chunk async for chunk in opened.read()]) == b"old"


async def test_deleting_removes_empty_folders_and_is_repeatable(directory: Directory) -> None:
    await directory.put("a/b/c", b"")
    await directory.put("a/d", b"")
    for _ in range(2):
        await directory.delete("a/b/c")
    await directory.delete("a")
    assert sorted(os.listdir(directory.root / "a")) == ["d"]


async def test_puts_and_deletes_in_one_folder_do_not_meet(directory: Directory) -> None:
    async def come_and_go(name: str) -> None:
        for _ in range(20):
            await directory.put(f"folder/below/{name}", b"x")
            await directory.delete(f"folder/below/{name}")

    await asyncio.gather(*(come_and_go(name) for name in "abcd"))
    assert await keys_of(directory) == []


@pytest.mark.parametrize("key", ["../x", ".wingbeat/staging/x", "a/../../x", ""])
async def test_nothing_outside_the_keys_can_be_reached(directory: Directory, key: str) -> None:
    for call in (directory.get(key), directory.put(key, b""), directory.delete(key), directory.copy(key, "a")):
        with pytest.raises(InvalidArgument):
            await call


@pytest.mark.parametrize("prefix", ["../", ".wingbeat/", ".wingbeat/staging/", "/", "a/../"])
async def test_nothing_outside_the_keys_is_listed(directory: Directory, prefix: str) -> None:
    await directory.put("a/b", b"")
    assert await keys_of(directory, prefix) == []


NAMES = st.text(st.sampled_from("ab-./~"), min_size=1, max_size=6).filter(lambda key: key.strip("./~-"))


@settings(max_examples=60, deadline=None)
@given(st.sets(NAMES, max_size=12), NAMES | st.just(""), NAMES | st.just(""), st.integers(1, 4))
def test_pages_agree_with_sorting_all_keys(
    tmp_path_factory: pytest.TempPathFactory, names: set[str], prefix: str, after: str, limit: int
) -> None:
    root = tmp_path_factory.mktemp("walk")
    kept = {key for key in names if is_creatable(root, key)}
    expected = sorted(key for key in kept if key.startswith(prefix) and key > after)
    assert paged(root, prefix, after, limit, delimited=False) == expected
    folded = sorted({folded_at(key, prefix) for key in expected})
    assert paged(root, prefix, after, limit, delimited=True) == folded


def is_creatable(root: Path, key: str) -> bool:
    if any(segment in {"", ".", ".."} for segment in key.split("/")):
        return False
    try:
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).touch()
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        return False
    return (root / key).is_file()


def folded_at(key: str, prefix: str) -> str:
    head, slash, _ = key[len(prefix) :].partition("/")
    return prefix + head + slash


def paged(root: Path, prefix: str, after: str, limit: int, *, delimited: bool) -> list[str]:
    found: list[str] = []
    position: str | None = after
    while position is not None:
        page = walk.page(root, prefix, after=position, limit=limit, delimited=delimited)
        assert len(page.blobs) + len(page.folders) <= limit
        found += sorted([*(blob.key for blob in page.blobs), *page.folders])
        position = page.after
    return found


async def test_parts_are_joined_in_their_order(directory: Directory) -> None:
    uploads = Uploads(directory)
    upload = await uploads.create("whole")
    etags: dict[int, str] = {}
    for number, data in [(2, b"second"), (1, b"old"), (1, b"first,")]:
        async with directory.stage() as file:
            await file.write(data)
            etags[number] = (await uploads.put_part("whole", upload, number, file)).etag
    assert await keys_of(directory) == []
    blob = await uploads.complete("whole", upload, [Part(1, etags[1]), Part(2, etags[2])])
    assert await directory.get("whole") == b"first,second"
    again = await uploads.complete("whole", upload, [Part(1, etags[1]), Part(2, etags[2])])
    assert again == blob
    with pytest.raises(NotFound):
        await uploads.abort("whole", upload)


async def test_wrong_parts_are_refused_and_the_upload_stays(directory: Directory) -> None:
    uploads = Uploads(directory)
    upload = await uploads.create("whole")
    async with directory.stage() as file:
        await file.write(b"x")
        etag = (await uploads.put_part("whole", upload, 1, file)).etag
    part = Part(1, etag)
    for parts in ([], [part, part], [Part(1, "other")], [Part(2, etag)]):
        with pytest.raises(InvalidArgument):
            await uploads.complete("whole", upload, parts)
    with pytest.raises(NotFound):
        await uploads.complete("another", upload, [part])
    with pytest.raises(NotFound):
        await uploads.complete("whole", "../" + upload, [part])
    assert await uploads.complete("whole", upload, [part])


async def test_stale_uploads_are_swept_and_fresh_ones_stay(directory: Directory) -> None:
    uploads = Uploads(directory)
    stale, fresh = await uploads.create("stale"), await uploads.create("fresh")
    now = datetime.now(UTC)
    os.utime(directory.uploads / stale, (0, 0))
    assert await directory.sweep(now - timedelta(days=1)) == 1
    assert [path.name for path in directory.uploads.iterdir()] == [fresh]
