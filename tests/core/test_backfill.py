"""Which slots of the past a backfill starts."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import T0
from wingbeat.core import backfill as deciding
from wingbeat.core.backfill import Wanted
from wingbeat.core.backlog import Backlog
from wingbeat.core.policy import Policies
from wingbeat.core.schedule import Every, FixedRate, Schedule, parse
from wingbeat.core.trigger import Firing

HOUR = timedelta(hours=1)
HOURLY = parse("0 * * * *")


def last_hours(hours: int) -> Wanted:
    return Wanted(T0 - hours * HOUR, T0, again=False, max_running=2)


@pytest.mark.parametrize("schedule", [Every(HOUR), FixedRate(HOUR), FixedRate(HOUR, T0 - 100 * HOUR)], ids=repr)
def test_intervals_reach_back_before_their_deployment_in_the_same_phase(schedule: Schedule) -> None:
    firing = Firing(1, 1, schedule, True, T0, T0, None)
    planned = deciding.planned(firing, last_hours(3), backfill_id="b", by="", now=T0)
    assert list(deciding.undecided(planned, 9)) == [T0 - 3 * HOUR, T0 - 2 * HOUR, T0 - HOUR]


def test_policies_bound_it() -> None:
    bounded = Policies(start=T0 - 4 * HOUR, end=T0 - 2 * HOUR)
    firing = Firing(1, 1, HOURLY, True, T0, T0, None, policies=bounded)
    planned = deciding.planned(firing, last_hours(9), backfill_id="b", by="", now=T0)
    assert list(deciding.undecided(planned, 9)) == [T0 - 4 * HOUR, T0 - 3 * HOUR, T0 - 2 * HOUR]


@given(st.sets(st.integers(1, 30)), st.integers(1, 30), st.integers(0, 6), st.integers(1, 10))
def test_every_slot_is_started_or_left_out_once(taken: set[int], hours: int, free: int, batch: int) -> None:
    firing = Firing(1, 1, HOURLY, True, T0, T0, None)
    state = deciding.planned(firing, last_hours(hours), backfill_id="b", by="", now=T0)
    gone = {T0 - hour * HOUR for hour in taken}
    started: list[datetime] = []
    left_out = 0
    for number in range(1000):
        slots = deciding.undecided(state, batch + 1)
        step = deciding.step(state, slots[:batch], gone, free=free if number % 2 else 1, more=len(slots) > batch)
        started += step.starts
        left_out += step.left_out
        state = replace(state, after=step.after)
        if step.exhausted:
            break
    assert started == [T0 - hour * HOUR for hour in range(hours, 0, -1) if hour not in taken]
    assert left_out == len([hour for hour in taken if hour <= hours])


def test_a_trigger_without_a_next_slot_owes_none() -> None:
    exhausted = Firing(1, 1, HOURLY, True, T0, T0 - 3 * HOUR, None, policies=Policies(max_runs=1), started=1)
    slots = [T0 - 2 * HOUR, T0 - HOUR]
    assert deciding.owed(exhausted, [], slots) == set()
    assert deciding.owed(replace(exhausted, next_fire_at=slots[0], started=0), [], slots) == set(slots)


def test_only_slots_that_the_scheduler_has_itself_are_owed() -> None:
    half_past = parse("30 * * * *")
    due = Firing(1, 2, half_past, True, T0, T0 - HOUR, T0 - HOUR / 2)
    waiting = [Backlog(1, 1, half_past, T0, T0 - 3 * HOUR, T0 - HOUR)]
    slots = [T0 - hours * HOUR / 2 for hours in range(6, 0, -1)]
    assert deciding.owed(due, waiting, slots) == {T0 - 2.5 * HOUR, T0 - 1.5 * HOUR, T0 - 0.5 * HOUR}
