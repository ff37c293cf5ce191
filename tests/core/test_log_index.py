from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import T0
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
    assert len(LogIndex.decoded(data).encoded()) == len(data) // 16 * 16
