"""The wall clock is aware, in UTC, and goes where `time.time` goes."""

from datetime import UTC, datetime, timedelta
from unittest.mock import patch

from wingbeat.clock import system_clock


def test_it_says_what_time_it_is() -> None:
    now = system_clock()
    assert now.tzinfo is UTC
    assert abs(datetime.now(UTC) - now) < timedelta(seconds=1)


def test_tests_that_patch_the_time_move_it() -> None:
    with patch("time.time", return_value=1000.0):
        assert system_clock() == datetime.fromtimestamp(1000, UTC)
