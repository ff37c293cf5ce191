from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import T0
from wingbeat.core.ids import TriggerName
from wingbeat.core.policy import DEFAULTS
from wingbeat.core.schedule import Every, FixedRate, Schedule, between, parse
from wingbeat.core.trigger import LIVE, Backlog, Deployment, Firing, back_off, catch_up, due, moved, redeployed

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
EVERY_MINUTE = parse("* * * * *")


def firing(schedule: Schedule | None = EVERY_MINUTE, *, active: bool = True) -> Firing:
    return moved(Firing(1, 1, schedule, active, anchor=T0, decided_until=T0, next_fire_at=None), T0)


def deployment(schedule: Schedule | None, *, active: bool = True) -> Deployment:
    return Deployment(TriggerName("p", "d", "t", "n"), "v1", active, "TYPE_SCHEDULE", schedule, b"", b"", "")


@pytest.mark.parametrize(
    ("schedule", "now", "limit", "fires", "decided_until"),
    [
        pytest.param(EVERY_MINUTE, T0 + 59 * SECOND, 9, [], T0 + 59 * SECOND, id="nothing is due yet"),
        pytest.param(EVERY_MINUTE, T0 + MINUTE, 9, [60], T0 + MINUTE, id="due exactly now"),
        pytest.param(
            Every(SECOND), T0 + 3 * SECOND, 9, [1, 2, 3], T0 + 3 * SECOND, id="several live slots, oldest first"
        ),
        pytest.param(Every(SECOND), T0 + 3 * SECOND, 2, [1, 2], T0 + 2 * SECOND, id="the limit leaves the rest due"),
        pytest.param(Every(SECOND), T0 + 3 * SECOND, 0, [], T0, id="without a token nothing is decided"),
        pytest.param(None, T0 + MINUTE, 9, [], T0, id="a manual trigger owes nothing"),
        pytest.param(EVERY_MINUTE, T0 - MINUTE, 9, [], T0, id="a clock that stepped back repeats nothing"),
    ],
)
def test_due(schedule: Schedule | None, now: datetime, limit: int, fires: list[int], decided_until: datetime) -> None:
    decision = due(firing(schedule), now, limit)
    assert [(slot - T0) // SECOND for slot in decision.fires] == fires
    assert decision.firing.decided_until == decided_until
    assert decision.backlog is None


def test_late_slots_become_a_backlog_and_do_not_hold_up_the_live_one() -> None:
    now = T0 + 10 * MINUTE
    decision = due(firing(), now, 5)
    assert decision.fires == (now,)
    assert decision.backlog is not None
    slots, rest = catch_up(decision.backlog, 100)
    assert slots == tuple(T0 + n * MINUTE for n in range(1, 10))
    assert rest is None


@pytest.mark.parametrize(
    ("limit", "caught_up", "left"),
    [
        pytest.param(0, [], 3, id="nothing may start"),
        pytest.param(2, [1, 2], 1, id="fewer than there are"),
        pytest.param(3, [1, 2, 3], 0, id="exactly all, the last one at the very end of the backlog"),
        pytest.param(9, [1, 2, 3], 0, id="more than there are"),
    ],
)
def test_catch_up_leaves_what_it_may_not_start(limit: int, caught_up: list[int], left: int) -> None:
    backlog = Backlog(1, 1, EVERY_MINUTE, T0, after=T0, until=T0 + 3 * MINUTE)
    slots, rest = catch_up(backlog, limit)
    assert [(slot - T0) // MINUTE for slot in slots] == caught_up
    assert (len(catch_up(rest, 9)[0]) if rest else 0) == left
    assert rest is None or rest.after < rest.until


def test_an_inactive_trigger_owes_nothing_and_has_no_next_fire() -> None:
    paused = moved(replace(firing(), active=False), T0)
    assert paused.next_fire_at is None
    assert due(paused, T0 + 10 * MINUTE, 5).fires == ()


@given(
    period=st.integers(1, 90),
    steps=st.lists(st.integers(0, 400), min_size=1, max_size=8),
    limit=st.integers(1, 30),
    share=st.integers(1, 7),
)
def test_every_slot_is_fired_once_whatever_the_delays_and_limits(
    period: int, steps: list[int], limit: int, share: int
) -> None:
    state, now, fired = firing(Every(period * SECOND)), T0, list[datetime]()
    for step in steps:
        now += step * SECOND
        for _ in range(200):
            decision = due(state, now, limit)
            state = decision.firing
            fired += decision.fires
            backlog = decision.backlog
            while backlog:
                slots, backlog = catch_up(backlog, share)
                fired += slots
            if state.decided_until >= now:
                break
    assert sorted(fired) == list(between(Every(period * SECOND), T0, now, T0, limit=10_000))
    assert state.next_fire_at is not None
    assert state.next_fire_at > now


@given(
    schedule=st.sampled_from([EVERY_MINUTE, Every(SECOND), Every(7 * SECOND), FixedRate(MINUTE), parse("0 0 29 2 *")]),
    decided=st.integers(0, 200),
    delay=st.integers(0, 150_000),
    limit=st.integers(0, 3),
)
def test_a_single_slot_is_decided_like_any_other(schedule: Schedule, decided: int, delay: int, limit: int) -> None:
    state = replace(moved(firing(schedule), T0 + decided * SECOND), failures=2)
    said_in_full = replace(state, policies=replace(DEFAULTS))
    now = state.decided_until + timedelta(milliseconds=delay)
    alone, general = due(state, now, limit), due(said_in_full, now, limit)
    assert replace(alone, firing=replace(alone.firing, policies=said_in_full.policies)) == general


def test_a_redeploy_never_replays_the_time_before_it() -> None:
    now = T0 + 10 * MINUTE + SECOND
    after = redeployed(firing(), deployment(parse("*/5 * * * *")), revision=2, now=now)
    assert (after.decided_until, after.next_fire_at) == (now, T0 + 15 * MINUTE)


def test_an_unchanged_rate_keeps_its_phase_over_a_redeploy() -> None:
    rate = FixedRate(7 * MINUTE)
    after = redeployed(firing(rate), deployment(rate), revision=2, now=T0 + 10 * MINUTE)
    assert after.next_fire_at == T0 + 14 * MINUTE


def test_a_changed_rate_counts_from_the_redeploy() -> None:
    now = T0 + 10 * MINUTE
    after = redeployed(firing(FixedRate(7 * MINUTE)), deployment(FixedRate(5 * MINUTE)), revision=2, now=now)
    assert after.next_fire_at == now + 5 * MINUTE


def test_a_decision_of_a_faster_clock_is_not_taken_back_by_a_redeploy() -> None:
    ahead = moved(firing(), T0 + 5 * MINUTE)
    assert redeployed(ahead, deployment(EVERY_MINUTE), revision=2, now=T0).decided_until == T0 + 5 * MINUTE


def test_back_off_grows_to_a_bound() -> None:
    waits = [back_off(failures) for failures in range(1, 100)]
    assert waits[0] == SECOND
    assert waits == sorted(waits)
    assert waits[-1] == 5 * MINUTE


def test_live_is_a_minute() -> None:
    assert LIVE == MINUTE
