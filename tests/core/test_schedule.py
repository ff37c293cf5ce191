from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.slots import first_slots
from wingbeat.core.cron import Cron, DstGap, DstOverlap
from wingbeat.core.schedule import (
    Every,
    FixedRate,
    RateUnit,
    Schedule,
    between,
    count_between,
    decode,
    encode,
    fixed_rate,
    last_between,
    next_after,
    parse,
)
from wingbeat.errors import InvalidArgument

T0 = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("text", "period"),
    [
        pytest.param("1h30m", 90 * MINUTE, id="hours and minutes"),
        pytest.param("1.5h", 90 * MINUTE, id="a fraction"),
        pytest.param(".5h", 30 * MINUTE, id="a fraction without a whole part"),
        pytest.param("1.h", HOUR, id="a point without a fraction"),
        pytest.param("2h45m10s", timedelta(hours=2, minutes=45, seconds=10), id="three units"),
        pytest.param("30s1m", 90 * SECOND, id="units in any order"),
        pytest.param("+45s", 45 * SECOND, id="a plus sign"),
        pytest.param("1500ms", SECOND, id="truncated to seconds"),
        pytest.param("999999µs1000ns", SECOND, id="small units add up"),
        pytest.param("10ms", SECOND, id="at least a second"),
        pytest.param("0", SECOND, id="nothing"),
        pytest.param("-1m", SECOND, id="less than nothing"),
        pytest.param("2562047h47m16.854775807s", timedelta(seconds=9_223_372_036), id="the longest"),
    ],
)
def test_every_reads_durations_as_go_does(text: str, period: timedelta) -> None:
    assert parse(f"@every {text}") == parse(f"CRON_TZ=Asia/Tokyo @every {text}", "") == Every(period)


@pytest.mark.parametrize(
    "text", ["", "1", "h", ".", ".s", "1d", "1.2.3s", "-", "1h ", "1 h", "1H", "2562048h", "9" * 5000 + "s"]
)
def test_every_refuses_what_is_no_duration(text: str) -> None:
    with pytest.raises(InvalidArgument, match="@every"):
        parse(f"@every {text}")


def test_every_refuses_an_unknown_zone_though_it_needs_none() -> None:
    with pytest.raises(InvalidArgument, match="Mars"):
        parse("@every 1h", "Mars/Olympus")


@pytest.mark.parametrize(
    ("value", "unit", "says"),
    [
        pytest.param(0, RateUnit.HOUR, "from 1 to", id="no time at all"),
        pytest.param(-1, RateUnit.HOUR, "from 1 to", id="back in time"),
        pytest.param(106_752, RateUnit.DAY, "from 1 to 106751", id="longer than Go can count"),
        pytest.param(2**32 - 1, RateUnit.DAY, "from 1 to 106751", id="the largest number of the wire"),
        pytest.param(5, None, "no unit", id="five of nothing"),
    ],
)
def test_bad_rates_are_refused(value: int, unit: RateUnit | None, says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        fixed_rate(value, unit)


@pytest.mark.parametrize("period", [timedelta(), -HOUR, timedelta(milliseconds=1500), timedelta.max])
def test_bad_periods_are_refused(period: timedelta) -> None:
    with pytest.raises(InvalidArgument, match="period"):
        FixedRate(period)
    with pytest.raises(InvalidArgument, match="period"):
        Every(period)


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(T0.replace(tzinfo=None), id="no zone"),
        pytest.param(T0.replace(microsecond=1), id="a fraction of a second"),
    ],
)
def test_bad_starts_are_refused(start: datetime) -> None:
    with pytest.raises(InvalidArgument, match="start"):
        FixedRate(HOUR, start)


@pytest.mark.parametrize(
    ("start", "after", "expected"),
    [
        pytest.param(None, 0, 60, id="one period after the deploy"),
        pytest.param(None, 59, 60, id="just before the first slot"),
        pytest.param(None, 60, 120, id="strictly after a slot"),
        pytest.param(None, -500, 60, id="nothing before the deploy"),
        pytest.param(90, 0, 90, id="the start itself"),
        pytest.param(90, 90, 150, id="one period after the start"),
        pytest.param(90, -500, 90, id="nothing before the start"),
        pytest.param(-90, 0, 30, id="a past start sets the phase"),
        pytest.param(-90, -500, 30, id="a past start owes nothing for the time before the deploy"),
        pytest.param(0, 0, 60, id="a start at the deploy is past"),
    ],
)
def test_fixed_rates_count_from_the_start_or_the_deploy(start: int | None, after: int, expected: int) -> None:
    schedule = fixed_rate(1, RateUnit.HOUR, start=None if start is None else T0 + start * MINUTE)
    assert next_after(schedule, T0 + after * MINUTE, T0) == T0 + expected * MINUTE


def test_intervals_end_with_the_calendar() -> None:
    last = datetime(9999, 12, 1, tzinfo=UTC)
    assert first_slots(FixedRate(timedelta(days=20), last), T0, T0, 5) == (last, last + timedelta(days=20))


def test_a_fraction_of_a_second_is_dropped_from_anchor_and_start() -> None:
    late = T0 + timedelta(milliseconds=700)
    assert next_after(Every(HOUR), late, late) == T0 + HOUR
    assert fixed_rate(1, RateUnit.HOUR, start=late) == FixedRate(HOUR, T0)


def test_a_restart_keeps_the_phase() -> None:
    deployed, restarted = T0 + timedelta(seconds=17), T0 + timedelta(days=3, seconds=1)
    assert next_after(Every(HOUR), restarted, deployed) == T0 + timedelta(days=3, seconds=17)


def test_half_open_and_bounded() -> None:
    schedule = Every(MINUTE)
    slots = tuple(T0 + k * MINUTE for k in range(1, 4))
    assert between(schedule, T0, T0 + 3 * MINUTE, T0, limit=10) == slots
    assert between(schedule, T0, T0 + 3 * MINUTE, T0, limit=2) == slots[:2]
    assert between(schedule, T0, T0 + 3 * MINUTE, T0, limit=0) == ()
    assert between(schedule, T0, T0 - MINUTE, T0, limit=10) == ()
    assert count_between(schedule, T0, T0 + 3 * MINUTE, T0) == 3
    assert last_between(schedule, T0, T0 + 3 * MINUTE, T0) == slots[-1]
    assert last_between(schedule, T0, T0 + 59 * SECOND, T0) is None


def test_intervals_are_counted_by_arithmetic() -> None:
    assert count_between(Every(SECOND), T0, T0 + timedelta(days=365_000), T0) == 365_000 * 86_400


def test_a_preview_ends_when_the_schedule_does() -> None:
    assert first_slots(parse("0 12 * * *"), T0, T0, 2) == (T0 + 12 * HOUR, T0 + 36 * HOUR)
    assert first_slots(parse("0 0 31 2 *"), T0, T0, 5) == ()


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        (Every(HOUR), '{"every":3600}'),
        (FixedRate(HOUR), '{"rate":3600,"start":null}'),
        (FixedRate(HOUR, T0), '{"rate":3600,"start":"2026-01-01T00:00:00+00:00"}'),
        (
            parse(" 0  9 * * * "),
            '{"cron":"0 9 * * *","timezone":"UTC","dst_gap":"skip","dst_overlap":"both"}',
        ),
        (
            parse("TZ=Asia/Tokyo @daily", dst_gap=DstGap.NEXT),
            '{"cron":"@daily","timezone":"Asia/Tokyo","dst_gap":"next","dst_overlap":"both"}',
        ),
    ],
)
def test_the_stored_text_of_a_schedule_does_not_change(schedule: Schedule, text: str) -> None:
    assert encode(schedule) == text
    assert decode(text) == schedule


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"every":0}',
        '{"every":1e400}',
        '{"every":99999999999999999999}',
        '{"rate":60,"start":"soon"}',
        '{"cron":"* * * * *","timezone":"UTC","dst_gap":"mind","dst_overlap":"both"}',
        '{"cron":"* * *","timezone":"UTC","dst_gap":"skip","dst_overlap":"both"}',
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        decode(text)


moments = st.datetimes(datetime(2000, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
whole_moments = moments.map(lambda at: at.replace(microsecond=0))
periods = st.timedeltas(timedelta(seconds=1), timedelta(days=40)).map(lambda period: period // SECOND * SECOND)


def daily(minute: str, hour: str, zone: str, gap: DstGap, overlap: DstOverlap) -> Cron | Every:
    return parse(f"{minute} {hour} * * *", zone, dst_gap=gap, dst_overlap=overlap)


crons = st.builds(
    daily,
    st.sampled_from(["*", "0", "*/7", "13,57"]),
    st.sampled_from(["*", "2", "*/5", "1-3"]),
    st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/Havana"]),
    st.sampled_from(DstGap),
    st.sampled_from(DstOverlap),
)
intervals = st.one_of(st.builds(Every, periods), st.builds(FixedRate, periods, st.none() | whole_moments))
schedules = st.one_of(intervals, crons)


@settings(derandomize=True, deadline=None)
@given(schedules)
def test_schedules_survive_being_stored(schedule: Schedule) -> None:
    assert decode(encode(schedule)) == schedule


@settings(derandomize=True, deadline=None)
@given(schedules, moments, moments, st.integers(0, 100))
def test_every_view_of_a_schedule_is_the_same(
    schedule: Schedule, after: datetime, anchor: datetime, minutes: int
) -> None:
    slots = first_slots(schedule, after, anchor, 40)
    assert list(slots) == sorted(set(slots))
    assert all(slot > after and slot.microsecond == 0 for slot in slots)
    until = (slots[minutes % 40] if slots else after) + minutes * SECOND
    listed = between(schedule, after, until, anchor, limit=1000)
    assert count_between(schedule, after, until, anchor) == len(listed)
    assert last_between(schedule, after, until, anchor) == (listed[-1] if listed else None)
    assert listed[:40] == tuple(slot for slot in slots if slot <= until)


@settings(derandomize=True, deadline=None)
@given(intervals, moments, moments)
def test_intervals_owe_nothing_for_the_time_before_the_anchor(
    schedule: Every | FixedRate, after: datetime, anchor: datetime
) -> None:
    first, second = first_slots(schedule, after, anchor, 2)
    assert first > anchor.replace(microsecond=0)
    assert second - first == schedule.period


def test_a_schedule_is_one_of_three() -> None:
    assert isinstance(parse("@daily"), Cron)
    assert isinstance(parse("@every 1m"), Every)
