"""When which bytes of a log were written: kept beside a log, so that its lines have times after its node is gone."""

import struct
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

_RECORD = struct.Struct("<QQ")
MAX_RECORDS = 65_536
"""Of one log, however long it is: whoever reads a log has all of them in memory."""
MAX_BYTES = MAX_RECORDS * _RECORD.size
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(slots=True)
class LogIndex:
    """Grows while a log is copied: byte offsets, ascending, and the microseconds at which what follows was written.

    Of a log with too many moments every other one is kept, then every fourth one, and so on.
    """

    _offsets: list[int] = field(default_factory=list[int])
    _micros: list[int] = field(default_factory=list[int])
    _every: int = 1
    _passed_over: int = 0

    @staticmethod
    def uri(log_uri: str) -> str:
        """Where the index of the log at `log_uri` is kept."""
        return f"{log_uri}.idx"

    def note(self, offset: int, at: datetime | None) -> None:
        """The bytes from `offset` on were written at `at`; None: nobody knows, and it passes for what was before."""
        if at is None:
            return
        micros = (at - _EPOCH) // _MICROSECOND
        if self._micros and micros == self._micros[-1]:
            return
        self._passed_over += 1
        if self._passed_over < self._every:
            return
        self._passed_over = 0
        self._offsets.append(offset)
        self._micros.append(micros)
        if len(self._offsets) > MAX_RECORDS:
            del self._offsets[1::2], self._micros[1::2]
            self._every *= 2

    def at(self, offset: int) -> datetime | None:
        """When the byte at `offset` was written; None: nobody knows."""
        number = bisect_right(self._offsets, offset) - 1
        try:
            return None if number < 0 else _EPOCH + self._micros[number] * _MICROSECOND
        except OverflowError:  # tasks can write where it is kept
            return None

    def encoded(self) -> bytes:
        return b"".join(map(_RECORD.pack, self._offsets, self._micros))

    @classmethod
    def decoded(cls, data: bytes) -> "LogIndex":
        """A record that was cut off is left out."""
        index = cls()
        records: Iterable[tuple[int, int]] = _RECORD.iter_unpack(data[: len(data) // _RECORD.size * _RECORD.size])
        for offset, micros in records:
            index._offsets.append(offset)
            index._micros.append(micros)
        return index
