import pytest

from wingbeat.core.uploads import MAX_PATH, folder_of, spoken_of


@pytest.mark.parametrize(
    ("key", "folder"),
    [
        ("uploads/p/d/0123/code.tgz", "p/d/0123"),
        ("uploads/p/d/tree/a/b.txt", "p/d/tree"),
        ("uploads/p/d/offloaded-inputs/ab/inputs.pb", "p/d/offloaded-inputs/ab"),
        ("uploads/p/d/stray", None),
        ("uploads/p/d/offloaded-inputs/stray", None),
        ("runs/p/d/r1/inputs/inputs.pb", None),
        ("uploads", None),
    ],
)
def test_a_blob_belongs_to_an_upload(key: str, folder: str | None) -> None:
    assert folder_of(key) == folder


@pytest.mark.parametrize(
    ("content", "paths"),
    [
        (None, []),
        (b"s3://wingbeat/runs/p/d/r", []),
        (b"\x0a\x20s3://wingbeat/uploads/p/d/0123/code.tgz\x12\x04name", ["p/d/0123/code.tgz"]),
        (b"s3://b/x/uploads/p/d/one/f\x00/uploads/p/d/two*\x03abc", ["p/d/one/f", "p/d/two*"]),
        ("/uploads/p/d/größe/f".encode() + b"\xff\xfe", ["p/d/größe/f"]),
        (b"/uploads/" + b"x" * 1000, ["x" * MAX_PATH]),
    ],
    ids=["nothing", "no upload", "one in a message", "two, one with what follows it", "not only ASCII", "long"],
)
def test_uploads_are_found_in_whatever_bytes(content: bytes | None, paths: list[str]) -> None:
    assert sorted(spoken_of(content, b"")) == paths
