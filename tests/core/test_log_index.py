from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import T0
from wingbeat.core import log_index
from wingbeat.core.log_index import LogIndex


def test_lines_have_the_time_of_what_was_written_with_them() -> None:
    index = LogIndex()
    index.note(10, T0)
    index.note(20, T0)
    index.note(30, None)
    index.note(40, T0 + timedelta(seconds=1))
    again = LogIndex.decoded(index.encoded())
    moments = [again.at(offset) for offset in (0, 10, 39, 40, 10**9)]
    assert moments == [None, T0, T0, T0 + timedelta(seconds=1), T0 + timedelta(seconds=1)]


@given(st.binary())
def test_any_bytes_can_be_read(data: bytes) -> None:
    index = LogIndex.decoded(data)
    assert len(index.encoded()) == len(data) // 16 * 16
    index.at(2**64)


def test_of_a_log_of_many_moments_it_keeps_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_index, "MAX_RECORDS", 8)
    index = LogIndex()
    for number in range(1000):
        index.note(number * 10, T0 + timedelta(seconds=number))
    assert 4 * 16 <= len(index.encoded()) <= 8 * 16
    assert index.at(0) == T0
    for number in (1, 100, 500, 999):
        at = index.at(number * 10)
        assert at is not None
        assert timedelta(seconds=number - 256) <= at - T0 <= timedelta(seconds=number)
