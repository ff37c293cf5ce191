"""The log of one attempt, read while it is written; an index beside it says when which bytes were written."""

import bisect
import contextlib
import os
import struct
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from wingbeat.executors.base import LogChunk
from wingbeat.executors.local.action_dir import ActionDir

_RECORD = struct.Struct("<QQ")
"""A size of the log, and the microsecond by which it was reached."""
_CHUNK = 64 * 1024
_LONGEST_LINE = 1024 * 1024
"""A longer line is passed on in pieces."""


class LogIndex:
    """Written by the agent while the log grows."""

    def __init__(self, action: ActionDir) -> None:
        self._action = action
        self._size = 0

    def note(self, now: datetime) -> None:
        size = _size(self._action.log)
        if size > self._size:
            self._size = size
            record = _RECORD.pack(size, int(now.timestamp() * 1_000_000))
            with contextlib.suppress(FileNotFoundError), self._action.log_index.open("ab", buffering=0) as index:
                index.write(record)


class LogReader:
    """Reads on from where it stopped, in chunks of whole lines that were written at about one time."""

    def __init__(self, action: ActionDir, offset: int) -> None:
        self._action = action
        self._offset = offset
        self._file: BinaryIO | None = None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def next_chunk(self) -> LogChunk | None:
        """None when there is no further whole line, or nothing at all once the attempt has ended."""
        ended = self._action.ended()
        data, written = self._read()
        if not data:
            return None
        record = _record_beyond(self._action, self._offset)
        boundary, at = (record[0] - self._offset, _moment(record[1])) if record else (len(data), written)
        end = _end_of_chunk(data, boundary, ended=ended)
        if end == 0:
            return None
        chunk = LogChunk(self._offset, data[:end], at)
        self._offset += end
        return chunk

    def finished(self) -> bool:
        """Has the attempt ended, and was all of its log read?"""
        return self._action.ended() and self._offset >= _size(self._action.log)

    def _read(self) -> tuple[bytes, datetime | None]:
        """The next bytes, and when the last byte of the file was written."""
        try:
            self._file = self._file or self._action.log.open("rb")
        except FileNotFoundError:
            return b"", None
        self._file.seek(self._offset)
        data = self._file.read(_CHUNK)
        if len(data) == _CHUNK and b"\n" not in data:
            data += self._file.read(_LONGEST_LINE - _CHUNK)
        return data, datetime.fromtimestamp(os.fstat(self._file.fileno()).st_mtime, UTC)


def _end_of_chunk(data: bytes, boundary: int, *, ended: bool) -> int:
    """Where to cut: behind the first line that ends at or after `boundary`, else behind the last line there is."""
    newline = data.find(b"\n", max(boundary - 1, 0))
    if newline < 0:
        newline = data.rfind(b"\n")
    if newline >= 0:
        return newline + 1
    return len(data) if ended or len(data) >= _LONGEST_LINE else 0


def _record_beyond(action: ActionDir, offset: int) -> tuple[int, int] | None:
    """The first record of a size that `offset` lies below. Of an index of days a few records are read, not all."""
    try:
        index = action.log_index.open("rb", buffering=0)
    except FileNotFoundError:
        return None
    with index:
        numbers = range(os.fstat(index.fileno()).st_size // _RECORD.size)
        found = bisect.bisect_right(numbers, offset, key=lambda number: _record(index, number)[0])
        return _record(index, found) if found < len(numbers) else None


def _record(index: FileIO, number: int) -> tuple[int, int]:
    size, microseconds = _RECORD.unpack(os.pread(index.fileno(), _RECORD.size, number * _RECORD.size))
    return size, microseconds


def _moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
