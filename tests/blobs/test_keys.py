import pytest
from hypothesis import given
from hypothesis import strategies as st

from wingbeat.blobs import keys
from wingbeat.errors import InvalidArgument


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "/absolute",
        "folder/",
        "a//b",
        ".",
        "..",
        "../escape",
        "a/../b",
        "a/./b",
        "a/..",
        "nul\x00",
        "line\nbreak",
        "half\ud800",
        "x" * 256,
        "é" * 128,
        "/".join(["x" * 200] * 6),
    ],
)
def test_what_could_name_something_else_is_refused(key: str) -> None:
    with pytest.raises(InvalidArgument):
        keys.checked(key)


@pytest.mark.parametrize("key", ["a", "a/b", "..a", "a..", "...", " ", "a=b==/c%2F", "日本/🦋", "x" * 255, ".hidden"])
def test_odd_names_are_legal(key: str) -> None:
    assert keys.checked(key) == key


@given(st.text(st.sampled_from("a./\\\x00é "), max_size=12))
def test_a_legal_key_stays_below_its_root(key: str) -> None:
    if keys.is_legal(key):
        segments = key.split("/")
        assert all(segment not in {"", ".", ".."} and "\x00" not in segment for segment in segments)


def test_parts_are_joined_below_one_another() -> None:
    assert keys.joined("uploads", "", "p/d", "file") == "uploads/p/d/file"
    with pytest.raises(InvalidArgument):
        keys.joined("uploads", "..", "file")
