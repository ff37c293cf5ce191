"""What holds of every schedule in every IANA zone from 2020 to 2040.

The wall clock is read from zoneinfo moment by moment, not from the stretches of constant offset that the engine uses.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.test_cron import expressions, frequent, wall_matches
from wingbeat.core import zones
from wingbeat.core.cron import parse
from wingbeat.core.cron_syntax import parse_fields

SECOND = timedelta(seconds=1)
WEEK = timedelta(weeks=1)
ZONES = sorted(available_timezones() & zones._names())  # a host may add its own, such as "localtime"
FIRES = 3
EXAMPLES = 2
"""For each zone, of which there are about 600."""

moments = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001
parts = st.floats(0, 1, exclude_max=True)


def offset_changes(rules: ZoneInfo) -> list[datetime]:
    """The weeks of 2020 to 2040, by their beginning, that end with another offset than they began with."""
    weeks = [datetime(2020, 1, 1, tzinfo=UTC) + number * WEEK for number in range(20 * 52)]
    offsets = [week.astimezone(rules).utcoffset() for week in weeks]
    return [week for week, offset, later in zip(weeks, offsets, offsets[1:], strict=False) if offset != later]


def near(changes: list[datetime]) -> st.SearchStrategy[datetime]:
    """Moments of the twenty years, half of them in the week of a change of the clock where the zone has any."""
    if not changes:
        return moments
    return st.one_of(moments, st.builds(within, st.sampled_from(changes), parts))


def within(week: datetime, part: float) -> datetime:
    return week + part * WEEK


def test_all_zones_of_the_package_are_tried() -> None:
    assert set(ZONES) == zones._names()


@pytest.mark.parametrize("zone", ZONES)
def test_fires_increase_stay_the_same_until_they_come_and_match_the_wall_clock(zone: str) -> None:
    rules = zones._rules(zone)

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
    @given(st.one_of(frequent, expressions), near(offset_changes(rules)), parts)
    def holds(expression: str, after: datetime, part: float) -> None:
        check(expression, zone, after, part)

    holds()


def check(expression: str, zone: str, after: datetime, part: float) -> None:
    cron, fields, rules = parse(expression, zone), parse_fields(expression), zones._rules(zone)
    for _ in range(FIRES):
        fire = cron.next_after(after)
        if fire is None:
            return
        assert fire > after
        assert wall_matches(fields, fire.astimezone(rules).replace(tzinfo=None))
        assert cron.next_after(after + (fire - after - SECOND / 2) * part) == fire
        assert cron.next_after(fire - SECOND) == fire
        after = fire
