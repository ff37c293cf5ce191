"""When which bytes of a log were written: kept beside a log, so that its lines have times after its node is gone."""

import struct
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

_RECORD = struct.Struct("<QQ")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(slots=True)
class LogIndex:
    """Grows while a log is copied: byte offsets, ascending, and the microseconds at which what follows was written."""

    _offsets: list[int] = field(default_factory=list[int])
    _micros: list[int] = field(default_factory=list[int])

    @staticmethod
    def uri(log_uri: str) -> str:
        """Where the index of the log at `log_uri` is kept."""
        return f"{log_uri}.idx"

    def note(self, offset: int, at: datetime | None) -> None:
        """The bytes from `offset` on were written at `at`; None: nobody knows, and it passes for what was before."""
        if at is None:
            return
        micros = (at - _EPOCH) // _MICROSECOND
        if not self._micros or micros != self._micros[-1]:
            self._offsets.append(offset)
            self._micros.append(micros)

    def at(self, offset: int) -> datetime | None:
        """When the byte at `offset` was written; None: nobody knows."""
        number = bisect_right(self._offsets, offset) - 1
        return None if number < 0 else _EPOCH + self._micros[number] * _MICROSECOND

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
