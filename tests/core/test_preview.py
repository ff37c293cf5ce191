"""Slots on the wall clock, and what is said where the clock changes."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.slots import first_slots
from wingbeat.core.cron import DstGap, DstOverlap
from wingbeat.core.preview import Slot, annotated, zone_of
from wingbeat.core.schedule import Every, Schedule, parse

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
BEFORE_SPRING = datetime(2026, 3, 28, 12, tzinfo=UTC)
BEFORE_AUTUMN = datetime(2026, 10, 24, 12, tzinfo=UTC)
BERLIN = "Europe/Berlin"


def shown(schedule: Schedule, after: datetime, n: int = 3) -> tuple[Slot, ...]:
    return annotated(schedule, first_slots(schedule, after, after, n), after=after)


def local(slots: tuple[Slot, ...]) -> list[str]:
    return [slot.local.isoformat() for slot in slots]


def test_a_slot_is_shown_on_the_wall_clock_of_its_zone() -> None:
    assert local(shown(parse("30 2 * * *", BERLIN), NEW_YEAR, 2)) == [
        "2026-01-01T02:30:00+01:00",
        "2026-01-02T02:30:00+01:00",
    ]


def test_a_time_that_is_left_out_is_told_at_the_slot_after_it() -> None:
    first, second = shown(parse("30 2 * * *", BERLIN), BEFORE_SPRING, 2)
    assert first.local.isoformat() == "2026-03-30T02:30:00+02:00"
    assert first.note == "02:30 does not exist on 2026-03-29, as the clock goes forward: it does not fire"
    assert second.note == ""


@pytest.mark.parametrize(
    ("gap", "at"), [(DstGap.NEXT, "2026-03-29T03:00:00+02:00"), (DstGap.SHIFT, "2026-03-29T03:30:00+02:00")]
)
def test_a_time_that_is_made_up_for_says_which_one_it_is(gap: DstGap, at: str) -> None:
    first, second = shown(parse("30 2 * * *", BERLIN, dst_gap=gap), BEFORE_SPRING, 2)
    assert first.local.isoformat() == at
    assert first.note == "02:30 does not exist on 2026-03-29, as the clock goes forward: it fires now"
    assert second.note == ""


def test_a_time_that_comes_twice_says_which_one_it_is() -> None:
    slots = shown(parse("30 2 * * *", BERLIN), BEFORE_AUTUMN)
    assert local(slots) == ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-26T02:30:00+01:00"]
    assert [slot.note for slot in slots] == [
        "the clock goes back and shows 02:30 twice: this is the first time",
        "the clock goes back and shows 02:30 twice: this is the second time",
        "",
    ]


@pytest.mark.parametrize("overlap", [DstOverlap.FIRST, DstOverlap.LAST])
def test_a_time_that_fires_once_of_twice_says_when(overlap: DstOverlap) -> None:
    first, second = shown(parse("30 2 * * *", BERLIN, dst_overlap=overlap), BEFORE_AUTUMN, 2)
    assert first.note == f"the clock goes back and shows 02:30 twice: it fires the {overlap} time only"
    assert second.note == ""


def test_a_schedule_that_misses_the_change_has_no_notes() -> None:
    assert {slot.note for slot in shown(parse("0 12 * * *", BERLIN), BEFORE_SPRING, 300)} == {""}


def test_intervals_follow_no_wall_clock() -> None:
    every = Every(timedelta(minutes=90))
    assert zone_of(every) == "UTC"
    assert local(shown(every, NEW_YEAR, 1)) == ["2026-01-01T01:30:00+00:00"]


@given(
    st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "UTC"]),
    st.sampled_from(["*/15 * * * *", "30 2 * * *", "0 0 * * 0"]),
    st.datetimes(NEW_YEAR.replace(tzinfo=None), NEW_YEAR.replace(year=2040, tzinfo=None), timezones=st.just(UTC)),
)
def test_local_and_utc_are_the_same_moment(zone: str, expression: str, after: datetime) -> None:
    slots = shown(parse(expression, zone), after, 20)
    assert all(slot.local == slot.at > after for slot in slots)
