"""Six fields, the second first: a set of moments like five fields, and five fields stay as they were."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wingbeat.core import cron, cron_seconds, schedule
from wingbeat.core.cron import DstGap, DstOverlap
from wingbeat.errors import InvalidArgument

NOON = datetime(2026, 3, 28, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)

SECONDS = st.sampled_from(["0", "*", "*/10", "7", "59", "1,30", "20-40/5"])
MINUTELY = st.sampled_from(
    ["* * * * *", "*/7 * * * *", "30 2 * * *", "59 23 31 12 *", "0 9 * * MON-FRI", "*/5 1-3 * * SUN"]
)
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
MOMENTS = st.integers(0, 364 * 86_400).map(lambda second: datetime(2026, 1, 1, tzinfo=UTC) + second * SECOND)


@pytest.mark.parametrize(
    ("expression", "after", "following"),
    [
        pytest.param("*/10 * * * * *", NOON, NOON + 10 * SECOND, id="every ten seconds"),
        pytest.param("0 0 9 * * MON-FRI", NOON, datetime(2026, 3, 30, 9, tzinfo=UTC), id="weekdays at nine"),
        pytest.param("30 59 23 31 12 *", NOON, datetime(2026, 12, 31, 23, 59, 30, tzinfo=UTC), id="once a year"),
        pytest.param("5 * * * * *", NOON + 5 * SECOND, NOON + 65 * SECOND, id="strictly after"),
    ],
)
def test_the_first_of_six_fields_is_the_second(expression: str, after: datetime, following: datetime) -> None:
    assert cron_seconds.parse(expression).next_after(after) == following


@given(SECONDS, MINUTELY, ZONES, MOMENTS, st.sampled_from(DstGap), st.sampled_from(DstOverlap))
def test_fires_are_the_seconds_of_the_minutes_that_match(
    seconds: str, minutely: str, zone: str, moment: datetime, gap: DstGap, overlap: DstOverlap
) -> None:
    whole = cron_seconds.parse(f"{seconds} {minutely}", zone, dst_gap=gap, dst_overlap=overlap)
    fires = schedule.between(whole, moment, moment + timedelta(days=3), moment, limit=50)
    assert all(before < after for before, after in pairwise(fires))
    every_minute = cron.parse(minutely, zone, dst_gap=gap, dst_overlap=overlap)
    wanted = cron_seconds.parse(f"{seconds} * * * * *")
    for fire in fires:
        if gap is not DstGap.NEXT:
            assert wanted.next_after(fire - SECOND) == fire
            minute = fire.replace(second=0)
            assert every_minute.next_after(minute - SECOND) == minute
    if fires:
        assert whole.count_between(moment, fires[-1]) == len(fires)


@given(MINUTELY, ZONES, MOMENTS)
def test_second_zero_is_the_five_fields(minutely: str, zone: str, moment: datetime) -> None:
    assert cron_seconds.parse(f"0 {minutely}", zone).next_after(moment) == cron.parse(minutely, zone).next_after(moment)


@given(SECONDS, MOMENTS, st.integers(0, 5000))
def test_counting_is_visiting_each(seconds: str, moment: datetime, span: int) -> None:
    every = cron_seconds.parse(f"{seconds} */3 * * * *")
    until = moment + span * SECOND
    assert every.count_between(moment, until) == len(schedule.between(every, moment, until, moment, limit=6000))


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        pytest.param("60 * * * * *", "'second' is '60'", id="no second sixty"),
        pytest.param("0 60 * * * *", "'minute' is '60'", id="no minute sixty"),
        pytest.param("0 0 0 0 * * *", "has 7 fields", id="seven fields"),
    ],
)
def test_a_wrong_field_is_named(expression: str, problem: str) -> None:
    with pytest.raises(InvalidArgument, match=problem):
        cron_seconds.parse(expression)


def test_the_server_reads_five_fields_only() -> None:
    with pytest.raises(InvalidArgument, match="must have five"):
        schedule.parse("*/10 * * * * *")


def test_a_stored_schedule_is_read_back() -> None:
    every = schedule.parse_embedded("*/10 * * * * *", "Europe/Berlin")
    assert schedule.decode(schedule.encode(every)) == every


def test_a_list_of_commas_never_fires() -> None:
    assert cron_seconds.parse(", * * * * *").next_after(NOON) is None
