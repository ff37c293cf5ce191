import gzip
import json
import struct
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
import tzdata
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core import robfig
from wingbeat.core import schedule, zones
from wingbeat.core.cron import Cron, DstGap, DstOverlap, parse, tzdata_version
from wingbeat.core.cron_syntax import Fields, parse_fields
from wingbeat.core.schedule import Every
from wingbeat.core.zones import EPOCH
from wingbeat.errors import InvalidArgument

DATA = Path(__file__).parents[1] / "data"
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
CHANGING_ZONES = (
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/Asuncion",
    "America/Havana",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Amman",
    "Asia/Gaza",
    "Asia/Tehran",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Europe/Dublin",
    "Pacific/Apia",
    "Pacific/Chatham",
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def date_matches(fields: Fields, date: datetime) -> bool:
    day = bool(fields.days >> date.day & 1)
    weekday = bool(fields.weekdays >> date.isoweekday() % 7 & 1)
    return bool(fields.months >> date.month & 1) and ((day or weekday) if fields.either_day else (day and weekday))


def wall_matches(fields: Fields, wall: datetime) -> bool:
    """Whether five fields match a time of the wall clock, read off one by one."""
    return bool(
        fields.minutes >> wall.minute & 1
        and fields.hours >> wall.hour & 1
        and date_matches(fields, wall)
        and wall.second == 0
    )


# --- the oracle -----------------------------------------------------------------------------------------------------


@pytest.fixture
def rules_of_2025b(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The zone rules the oracle was made with, whatever release is installed."""

    @cache
    def pinned(zone: str) -> ZoneInfo:
        with (DATA / "tzdata-2025b" / zone).open("rb") as data:
            return ZoneInfo.from_file(data, key=zone)

    monkeypatch.setattr(zones, "_rules", pinned)
    zones._stretches.cache_clear()
    yield
    zones._stretches.cache_clear()


class Case(NamedTuple):
    expression: str
    after: datetime
    told: datetime | None
    """What robfig/cron answered."""
    schedule: Cron | Every
    fields: Fields | None
    """None for an `@every`."""

    def retold(self, after: datetime) -> datetime | None:
        """What robfig/cron answers at another moment."""
        if isinstance(self.schedule, Every):
            return after.replace(microsecond=0) + self.schedule.period
        assert self.fields is not None
        return robfig.next_after(self.fields, after, zones._rules(self.schedule.timezone))


@cache
def oracle() -> tuple[list[Case], list[str]]:
    """The cases that robfig/cron answered, and the expressions that it refused."""
    cases: list[Case] = []
    refused: list[str] = []
    with gzip.open(DATA / "cron-oracle.jsonl.gz", "rt") as lines:
        for line in lines:
            case = json.loads(line)
            expression, after, told = case["expression"], EPOCH + case["after"] * SECOND, case["next"]
            if told == "error":
                refused.append(expression)
                continue
            parsed = schedule.parse(expression)
            assert isinstance(parsed, Cron | Every)
            fields = parse_fields(parsed.expression) if isinstance(parsed, Cron) else None
            cases.append(Case(expression, after, None if told is None else EPOCH + told * SECOND, parsed, fields))
    return cases, refused


def first_match(cron: Cron, fields: Fields, after: datetime) -> datetime:
    """The first moment after `after` whose wall clock matches, found by reading off every minute of matching days."""
    rules = zones._rules(cron.timezone)
    day = datetime.combine(after.astimezone(rules) - DAY, datetime.min.time())
    while True:
        # A backward change across midnight shows the end of a day again after the beginning of the next.
        dates = [date for date in (day, day + DAY) if date_matches(fields, date)]
        minutes = (date + minute * MINUTE for date in dates for minute in range(24 * 60))
        walls = (wall for wall in minutes if wall_matches(fields, wall))
        if found := [at for wall in walls for at in moments_of(cron, wall, rules) if at > after]:
            return min(found)
        day += DAY


def test_robfig_cron_refuses_the_same_expressions() -> None:
    answered, refused = oracle()
    assert (len(answered), len(refused)) == (20_395, 2_372)
    for expression in refused:
        with pytest.raises(InvalidArgument):
            schedule.parse(expression)


@pytest.mark.usefixtures("rules_of_2025b")
def test_robfig_cron_told_again_gives_every_answer_of_the_original() -> None:
    assert [case for case in oracle()[0] if case.retold(case.after) != case.told] == []


@pytest.mark.usefixtures("rules_of_2025b")
def test_robfig_cron_gives_our_answer_unless_it_contradicts_itself() -> None:
    """Asked one second before a moment, robfig/cron looks at that moment first, takes no step if it matches, and so
    cannot go astray: it answers with the moment exactly if the moment is a fire. By these answers of its own, wherever
    it differs from us, it passed over a fire or named a moment that is none: docs/adr/0006-cron-is-a-set-of-moments.md.
    """
    passed_over: Counter[str] = Counter()
    made_up: Counter[str] = Counter()
    for case in oracle()[0]:
        ours = schedule.next_after(case.schedule, case.after, anchor=case.after)
        if ours == case.told:
            continue
        assert isinstance(case.schedule, Cron), case
        assert case.fields is not None, case
        assert ours is not None, case
        assert case.told is not None, case
        assert case.retold(ours - SECOND) == ours, case
        assert ours == first_match(case.schedule, case.fields, case.after), case
        if ours < case.told:
            passed_over[case.schedule.timezone] += 1
        else:
            assert case.retold(case.told - SECOND) != case.told, case
            made_up[case.schedule.timezone] += 1
    assert passed_over == {
        "Africa/Cairo": 23,
        "Africa/Casablanca": 3,
        "America/Havana": 7,
        "Asia/Amman": 25,
        "Asia/Beirut": 9,
        "Asia/Tehran": 14,
        "Australia/Lord_Howe": 15,
        "Pacific/Chatham": 1,
    }
    assert made_up == {"Africa/Cairo": 6, "America/Havana": 1, "Asia/Tehran": 1, "Atlantic/Azores": 2}
    assert passed_over.total() + made_up.total() == 107


# --- syntax ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "timezone", "says"),
    [
        pytest.param("", "", "0 fields", id="nothing"),
        pytest.param("* * * *", "", "4 fields", id="four fields"),
        pytest.param("0 * * * * *", "", "6 fields", id="a field for seconds"),
        pytest.param("60 * * * *", "", "'minute' is '60'", id="minute 60"),
        pytest.param("* 24 * * *", "", "'hour' is '24'", id="hour 24"),
        pytest.param("* * 0 * *", "", "'day of month' is '0'", id="day 0"),
        pytest.param("* * * 13 *", "", "'month' is '13'", id="month 13"),
        pytest.param("* * * * 7", "", "'day of week' is '7'", id="weekday 7"),
        pytest.param("* * * * sunday", "", "'sunday' is not a number or a name", id="a full name"),
        pytest.param("* * L * *", "", "'L' is not a number", id="the last day"),
        pytest.param("* * * * mon#1", "", "'mon#1'", id="the first Monday"),
        pytest.param("* * * * sat-sun", "", "ends before it begins", id="a range that wraps around"),
        pytest.param("1-2-3 * * * *", "", "too many hyphens", id="two hyphens"),
        pytest.param("1/2/3 * * * *", "", "too many slashes", id="two slashes"),
        pytest.param("*/0 * * * *", "", "the step of '*/0' is 0", id="a step of 0"),
        pytest.param("*/mon * * * *", "", "'mon' is not a number", id="a name as step"),
        pytest.param("-5 * * * *", "", "'' is not a number", id="a negative minute"),
        pytest.param("5/ * * * *", "", "'' is not a number", id="no step after the slash"),
        pytest.param("1_0 * * * *", "", "'1_0' is not a number", id="an underscore in a number"),
        pytest.param("٣ * * * *", "", "is not a number", id="digits of another script"),
        pytest.param("9" * 5000 + " * * * *", "", "is not a number", id="a number too long to read"),
        pytest.param("@reboot", "", "'@reboot' is unknown", id="an unknown descriptor"),
        pytest.param("@Daily", "", "'@Daily' is unknown", id="a descriptor in upper case"),
        pytest.param(" @daily", "", "1 fields", id="a space before a descriptor"),
        pytest.param("TZ=UTC", "", "after its zone", id="TZ= and nothing else"),
        pytest.param("CRON_TZ=UTC", "", "after its zone", id="CRON_TZ= and nothing else"),
        pytest.param("TZ=UTC ", "", "0 fields", id="a zone and a space"),
        pytest.param("CRON_TZ=UTC * * * * *", "UTC", "use one of them", id="a prefix and a timezone"),
        pytest.param("TZ=Europe/Berlni * * * * *", "", "did you mean 'Europe/Berlin'", id="a misspelt zone"),
        pytest.param("* * * * *", "europe/berlin", "did you mean 'Europe/Berlin'", id="a zone in lower case"),
        pytest.param("* * * * *", "Local", "unknown", id="the host's zone"),
        pytest.param("* * * * *", "../zones", "unknown", id="a path"),
        pytest.param("* * * * *", "Europe/Berlin 5", "unknown", id="a zone with a field in it"),
    ],
)
def test_bad_expressions_are_refused_with_the_reason(expression: str, timezone: str, says: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        parse(expression, timezone)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("expression", "same"),
    [
        pytest.param("? ? ? ? ?", "* * * * *", id="a question mark is a star anywhere"),
        pytest.param("5,,10 * * * *", "5,10 * * * *", id="empty items are skipped"),
        pytest.param("*-5 * * * *", "* * * * *", id="what follows a star's hyphen is not read"),
        pytest.param("5/20 * * * *", "5,25,45 * * * *", id="a start and a step run to the end"),
        pytest.param("+5 007 * * *", "5 7 * * *", id="signs and leading zeros"),
        pytest.param("0 0 * FEB-aPr mon", "0 0 * 2-4 1", id="names in any case"),
        pytest.param("0 0 1-31/1 * 1", "0 0 1-31 * 1", id="a full range is restricted"),
        pytest.param("0 0 */1 * 1", "0 0 * * 1", id="a star with step 1 is a star"),
        pytest.param("\t0  0\t* * * ", "0 0 * * *", id="any white space"),
        pytest.param("*/99999999999 * * * *", "0 * * * *", id="a step beyond the range"),
        pytest.param("@weekly", "0 0 * * sun", id="a descriptor"),
    ],
)
def test_odd_expressions_mean_what_robfig_cron_says(expression: str, same: str) -> None:
    odd, plain = parse(expression), parse(same)
    assert (odd._minutes, odd._hours, odd._months, odd._days) == (
        plain._minutes,
        plain._hours,
        plain._months,
        plain._days,
    )


@pytest.mark.parametrize("expression", ["0 0 31 2 *", "0 0 30 2 *", "0 0 31 4,6,9,11 *", ", * * * *", "0 0 , * ,"])
def test_impossible_expressions_never_fire_and_say_so_at_once(expression: str) -> None:
    began = time.process_time()
    assert parse(expression, "Europe/Berlin").next_after(utc("2026-01-01")) is None
    assert time.process_time() - began < 0.1


def test_an_expression_is_parsed_once() -> None:
    assert parse("1 2 3 4 *", "Asia/Tokyo") is parse("1 2 3 4 *", "Asia/Tokyo")


def test_a_prefix_and_a_timezone_are_equal() -> None:
    assert parse("CRON_TZ=Asia/Tokyo 0 9 * * *") == parse("TZ=Asia/Tokyo 0 9 * * *") == parse("0 9 * * *", "Asia/Tokyo")


# --- when it fires --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "timezone", "after", "expected"),
    [
        pytest.param("* * * * *", "", "2026-01-01T00:00:00", "2026-01-01T00:01", id="strictly after"),
        pytest.param("* * * * *", "", "2025-12-31T23:59:59.999999", "2026-01-01T00:00", id="a microsecond before"),
        pytest.param("0 9 * * *", "America/Los_Angeles", "2026-03-07T00:00", "2026-03-07T17:00", id="winter time"),
        pytest.param("0 9 * * *", "America/Los_Angeles", "2026-03-08T00:00", "2026-03-08T16:00", id="summer time"),
        pytest.param("0 0 13 * 5", "", "2026-02-01T00:00", "2026-02-06T00:00", id="the 13th or a Friday"),
        pytest.param("0 0 13 * *", "", "2026-02-01T00:00", "2026-02-13T00:00", id="the 13th"),
        pytest.param("0 0 29 2 *", "", "2024-02-29T00:00", "2028-02-29T00:00", id="the next leap year"),
        pytest.param("0 0 29 2 *", "", "2096-02-29T00:00", None, id="no leap year within five years"),
        pytest.param("30 2 * * *", "America/New_York", "2026-03-07T12:00", "2026-03-09T06:30", id="a missing 02:30"),
        pytest.param("0 * * * *", "America/New_York", "2026-03-08T06:00", "2026-03-08T07:00", id="hourly at a gap"),
        pytest.param("30 1 * * *", "America/New_York", "2026-11-01T05:30", "2026-11-01T06:30", id="01:30 once more"),
        pytest.param("0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00", "2018-11-05T02:00", id="a missing midnight"),
        pytest.param("0 3 1 10 *", "America/Asuncion", "2017-01-01T00:00", "2017-10-01T06:00", id="its month has none"),
        pytest.param("0,30 * 1 10 *", "America/Asuncion", "2017-01-01T00:00", "2017-10-01T04:00", id="at 01:00 then"),
        pytest.param("@yearly", "America/Asuncion", "2017-01-15T00:00", "2018-01-01T03:00", id="the new year after it"),
        pytest.param("0 9 * * 5", "Africa/Cairo", "2025-04-24T10:00", "2025-04-25T06:00", id="its day has no midnight"),
        pytest.param("0 9 * * 4", "Africa/Cairo", "2025-04-24T10:00", "2025-05-01T06:00", id="the next day has none"),
        pytest.param("0 12 * * *", "Pacific/Apia", "2011-12-29T23:00", "2011-12-30T22:00", id="a day left out"),
        pytest.param("0 12 30 12 *", "Pacific/Apia", "2011-01-01T00:00", "2012-12-29T22:00", id="a date left out"),
        pytest.param("* * * * *", "Asia/Kathmandu", "9999-12-31T23:59:59", None, id="the end of time"),
        pytest.param("0 0 * * *", "America/New_York", "0001-01-01T00:00", "0002-01-01T04:56:02", id="its beginning"),
    ],
)
def test_next_after(expression: str, timezone: str, after: str, expected: str | None) -> None:
    fire = parse(expression, timezone).next_after(utc(after))
    assert fire == (utc(expected) if expected else None)
    assert fire is None or fire.tzinfo is UTC


@pytest.mark.parametrize(
    ("gap", "expected"),
    [
        pytest.param(DstGap.SKIP, ["03-07T07:30", "03-09T06:30"], id="not that day"),
        pytest.param(DstGap.NEXT, ["03-07T07:30", "03-08T07:00", "03-09T06:30"], id="at 03:00"),
        pytest.param(DstGap.SHIFT, ["03-07T07:30", "03-08T07:30", "03-09T06:30"], id="at 03:30"),
    ],
)
def test_half_past_two_when_the_clock_goes_from_two_to_three(gap: DstGap, expected: list[str]) -> None:
    cron = parse("30 2 * * *", "America/New_York", dst_gap=gap)
    assert fires(cron, utc("2026-03-07"), utc("2026-03-10")) == [utc(f"2026-{day}") for day in expected]


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        pytest.param(DstOverlap.BOTH, ["11-01T05:30", "11-01T06:30", "11-02T06:30"], id="twice"),
        pytest.param(DstOverlap.FIRST, ["11-01T05:30", "11-02T06:30"], id="in summer time"),
        pytest.param(DstOverlap.LAST, ["11-01T06:30", "11-02T06:30"], id="in winter time"),
    ],
)
def test_half_past_one_when_the_clock_goes_from_two_to_one(overlap: DstOverlap, expected: list[str]) -> None:
    cron = parse("30 1 * * *", "America/New_York", dst_overlap=overlap)
    assert fires(cron, utc("2026-11-01"), utc("2026-11-03")) == [utc(f"2026-{day}") for day in expected]


def test_the_first_existing_moment_stands_for_a_day_left_out() -> None:
    cron = parse("0 12 30 12 *", "Pacific/Apia", dst_gap=DstGap.NEXT)
    assert cron.next_after(utc("2011-12-01")) == utc("2011-12-30T10:00")


def test_the_zone_is_utc_whatever_the_host_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert parse("0 0 * * *").next_after(utc("2026-01-01T12:00")) == utc("2026-01-02T00:00")
    finally:
        monkeypatch.undo()
        time.tzset()


def test_zone_rules_come_from_the_package() -> None:
    assert tzdata_version() == tzdata.IANA_VERSION


# --- properties -----------------------------------------------------------------------------------------------------


def fires(cron: Cron, after: datetime, until: datetime) -> list[datetime]:
    found: list[datetime] = []
    at = cron.next_after(after)
    while at is not None and at <= until:
        found.append(at)
        at = cron.next_after(at)
    return found


def scanned(cron: Cron, after: datetime, until: datetime) -> list[datetime]:
    """The fires in (after, until], found by asking the zone about every minute that a wall clock could show."""
    rules = zones._rules(cron.timezone)
    fields = parse_fields(cron.expression)
    found: set[datetime] = set()
    wall = (after - timedelta(days=2)).replace(tzinfo=None, second=0, microsecond=0)
    while wall < (until + timedelta(days=2)).replace(tzinfo=None):
        if wall_matches(fields, wall):
            found.update(moments_of(cron, wall, rules))
        wall += MINUTE
    return sorted(at for at in found if after < at <= until)


def moments_of(cron: Cron, wall: datetime, rules: ZoneInfo) -> list[datetime]:
    before, behind = (wall.replace(tzinfo=rules, fold=fold).astimezone(UTC) for fold in (0, 1))
    if before.astimezone(rules).replace(tzinfo=None) == wall:
        if before == behind:
            return [before]
        return {DstOverlap.BOTH: [before, behind], DstOverlap.FIRST: [before], DstOverlap.LAST: [behind]}[
            cron.dst_overlap
        ]
    if cron.dst_gap is DstGap.SKIP:
        return []
    if cron.dst_gap is DstGap.SHIFT:
        return [before]
    while behind.astimezone(rules).replace(tzinfo=None) < wall:
        behind += MINUTE
    return [behind]


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda ends: f"{min(ends)}-{max(ends)}")
    step = st.tuples(st.one_of(st.just("*"), span, number.map(str)), st.integers(1, high)).map(
        lambda it: "/".join(map(str, it))
    )
    item = st.one_of(number.map(str), span, step)
    return st.one_of(st.just("*"), st.just("*"), st.lists(item, min_size=1, max_size=3).map(",".join))


expressions = st.tuples(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6)).map(" ".join)
frequent = st.tuples(field(0, 59), field(0, 23)).map(lambda it: f"{it[0]} {it[1]} * * *")
moments = st.datetimes(datetime(1975, 1, 1), datetime(2090, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001
rules = st.tuples(st.sampled_from(DstGap), st.sampled_from(DstOverlap))


@st.composite
def crons(draw: st.DrawFn, zone: st.SearchStrategy[str], expression: st.SearchStrategy[str] = expressions) -> Cron:
    gap, overlap = draw(rules)
    return parse(draw(expression), draw(zone), dst_gap=gap, dst_overlap=overlap)


@st.composite
def around_a_change(draw: st.DrawFn, cron: Cron) -> datetime:
    """A moment within hours of a change of the zone's offset between 2005 and 2035."""
    start, end = (int(utc(text).timestamp()) for text in ("2005-01-01", "2035-01-01"))
    changes = [s.start for s in zones.stretches_between(cron.timezone, start, end) if s.before != s.offset]
    return EPOCH + timedelta(seconds=draw(st.sampled_from(changes)) + draw(st.integers(-16, 3)) * 3600)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.data())
def test_fires_around_a_change_of_the_clock_are_those_a_scan_of_every_minute_finds(data: st.DataObject) -> None:
    cron = data.draw(crons(st.sampled_from(CHANGING_ZONES), st.one_of(frequent, expressions)))
    after = data.draw(around_a_change(cron))
    until = after + timedelta(hours=18)
    expected = scanned(cron, after, until)
    assert fires(cron, after, until) == expected
    assert cron.count_between(after, until) == len(expected)


@settings(deadline=None, derandomize=True)
@given(crons(st.sampled_from(sorted(zones._names()))), moments)
def test_fires_increase_in_every_zone_and_the_search_ends(cron: Cron, after: datetime) -> None:
    for _ in range(5):
        fire = cron.next_after(after)
        if fire is None:
            return
        assert fire > after
        assert fire.microsecond == 0
        after = fire


@settings(deadline=None, derandomize=True)
@given(crons(st.sampled_from(CHANGING_ZONES)), moments, st.floats(0, 1, exclude_max=True))
def test_the_next_fire_stays_the_same_until_it_comes(cron: Cron, after: datetime, part: float) -> None:
    fire = cron.next_after(after)
    if fire is not None:
        assert cron.next_after(after + (fire - after - SECOND / 2) * part) == fire
        assert cron.next_after(fire - SECOND) == fire


@settings(max_examples=30, deadline=None, derandomize=True)
@given(crons(st.sampled_from(CHANGING_ZONES), frequent), moments, st.timedeltas(timedelta(), 10 * DAY))
def test_counting_is_as_good_as_visiting(cron: Cron, after: datetime, span: timedelta) -> None:
    assert cron.count_between(after, after + span) == len(fires(cron, after, after + span))


def test_a_century_of_minutes_is_counted_at_once() -> None:
    began = time.process_time()
    assert parse("* * * * *", "Europe/Berlin").count_between(utc("2000-01-01"), utc("2100-01-01")) == 36_525 * 1440
    assert time.process_time() - began < 1


def offset_changes(zone: str) -> list[int]:
    """The moments at which a zone's offset changes, read from the second block of its TZif file (RFC 9636)."""
    data = files(tzdata).joinpath("zoneinfo", *zone.split("/")).read_bytes()
    *_, leaps, times, types, chars = struct.unpack(">6l", data[20:44])
    second = 44 + 5 * times + 6 * types + chars + 8 * leaps + sum(struct.unpack(">2l", data[20:28]))
    *_, times, types, _ = struct.unpack(">6l", data[second + 20 : second + 44])
    at = second + 44
    moments = struct.unpack(f">{times}q", data[at : at + 8 * times])
    kinds = data[at + 8 * times : at + 9 * times]
    offsets = [struct.unpack_from(">l", data, at + 9 * times + 6 * kind)[0] for kind in (0, *kinds)]
    pairs = zip(moments, offsets, offsets[1:], strict=False)
    return [moment for moment, before, after in pairs if before != after]


@pytest.mark.parametrize("zone", CHANGING_ZONES)
def test_stretches_end_where_the_zone_file_says(zone: str) -> None:
    start = int(utc("1901-01-01").timestamp())
    listed = [moment for moment in offset_changes(zone) if moment >= start]
    end = max(listed, default=start) + 1  # a yearly rule takes over where the list ends
    stretches = zones.stretches_between(zone, start, end)
    assert [s.start for s in stretches if s.before != s.offset and s.start >= start] == listed


def test_no_zone_changes_its_offset_twice_between_two_probes() -> None:
    gaps = [later - at for zone in zones._names() for at, later in pairwise(offset_changes(zone))]
    assert min(gaps) > 3 * zones._STEP
