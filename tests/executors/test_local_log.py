"""The log of an attempt is cut into chunks of whole lines, each with the moment it was written."""

import tempfile
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.executors.conformance import launch_of
from wingbeat.core.launch import ExitReason
from wingbeat.executors.base import LogChunk
from wingbeat.executors.local.action_dir import ActionDir, Exit, Spec
from wingbeat.executors.local.log import LogIndex, LogReader

T0 = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def action(tmp_path: Path) -> ActionDir:
    return ActionDir.create(tmp_path, Spec(launch_of("true"), warm=False))


def write(action: ActionDir, data: bytes) -> None:
    with action.log.open("ab") as log:
        log.write(data)


def chunks(reader: LogReader) -> list[LogChunk]:
    found: list[LogChunk] = []
    while chunk := reader.next_chunk():
        found.append(chunk)
    return found


def test_a_line_is_passed_on_when_it_is_whole(action: ActionDir) -> None:
    reader = LogReader(action, 0)
    assert chunks(reader) == []
    write(action, b"one\ntw")
    assert [chunk.data for chunk in chunks(reader)] == [b"one\n"]
    write(action, b"o\n")
    assert [(chunk.offset, chunk.data) for chunk in chunks(reader)] == [(4, b"two\n")]
    reader.close()


def test_the_last_line_needs_no_newline(action: ActionDir) -> None:
    write(action, b"one\ntwo")
    reader = LogReader(action, 0)
    assert [chunk.data for chunk in chunks(reader)] == [b"one\n"]
    assert not reader.finished()
    action.write_exit(Exit(ExitReason.COMPLETED))
    assert [chunk.data for chunk in chunks(reader)] == [b"two"]
    assert reader.finished()
    reader.close()


def test_a_very_long_line_comes_in_pieces(action: ActionDir) -> None:
    write(action, b"x" * 3_000_000)
    reader = LogReader(action, 0)
    assert sum(len(chunk.data) for chunk in chunks(reader)) >= 2_000_000
    reader.close()


def test_lines_have_the_moment_by_which_they_were_written(action: ActionDir) -> None:
    index = LogIndex(action)
    for number in range(3):
        write(action, f"line {number}\n".encode())
        index.note(T0 + timedelta(seconds=number))
    index.note(T0 + timedelta(seconds=9))
    reader = LogReader(action, 0)
    assert [(chunk.data, chunk.at) for chunk in chunks(reader)] == [
        (f"line {number}\n".encode(), T0 + timedelta(seconds=number)) for number in range(3)
    ]
    reader.close()


@settings(deadline=None)
@given(
    pieces=st.lists(st.binary(min_size=1, max_size=40) | st.just(b"\n"), max_size=20),
    start=st.integers(min_value=0, max_value=50),
)
def test_chunks_put_together_are_the_log(pieces: list[bytes], start: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        action = ActionDir.create(Path(place), Spec(launch_of("true"), warm=False))
        index = LogIndex(action)
        for second, piece in enumerate(pieces):
            write(action, piece)
            index.note(T0 + timedelta(seconds=second))
        action.write_exit(Exit(ExitReason.COMPLETED))
        reader = LogReader(action, start)
        found = chunks(reader)
        reader.close()
    assert b"".join(chunk.data for chunk in found) == b"".join(pieces)[start:]
    assert [chunk.offset for chunk in found] == list(
        accumulate((len(chunk.data) for chunk in found[:-1]), initial=start)
    )[: len(found)]
    assert all(chunk.data.endswith(b"\n") for chunk in found[:-1])
