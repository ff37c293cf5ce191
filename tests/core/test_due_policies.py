"""What becomes of slots under policies: each rule by a table, and for all of them that no slot is lost or doubled."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import T0
from wingbeat.core import jitter
from wingbeat.core.backlog import Backlog, Unfired
from wingbeat.core.overlap import Standing
from wingbeat.core.policy import DEFAULTS, CatchUp, Overlap, Policies
from wingbeat.core.schedule import Every, Schedule, between, next_after, parse
from wingbeat.core.trigger import Firing, comes_due_at, due, moved, owed, serve

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
EVERY_MINUTE = parse("* * * * *")
EVERY_SECOND = Every(SECOND)
ALL = 10**6


def firing(policies: Policies, schedule: Schedule = EVERY_SECOND, *, started: int = 0) -> Firing:
    return moved(
        Firing(1, 1, schedule, True, T0, T0, next_fire_at=None, policies=policies, started=started),
        T0,
    )


def slots_of(backlog: Backlog | None) -> list[datetime]:
    if backlog is None:
        return []
    return list(between(backlog.schedule, backlog.after, backlog.until, backlog.anchor, limit=ALL))


def seconds(slots: Iterable[datetime]) -> list[int]:
    return [(slot - T0) // SECOND for slot in slots]


def unfired(rows: Iterable[Unfired], outcome: str) -> list[int]:
    return [slot for row in rows if row.outcome == outcome for slot in seconds(slots_of(row.slots))]


OVERLAPS = [
    # overlap, standing, fires, waits, skipped
    pytest.param(Overlap.ALLOW, Standing(9), [1, 2, 3, 4], [], [], id="allow fires whatever runs"),
    pytest.param(Overlap.SKIP, Standing(1), [], [], [1, 2, 3, 4], id="skip: a run works, nothing fires"),
    pytest.param(Overlap.SKIP, Standing(0), [1], [], [2, 3, 4], id="skip: the first fires and is in the others' way"),
    pytest.param(Overlap.BUFFER_ONE, Standing(1), [], [1], [2, 3, 4], id="buffer-one: one waits"),
    pytest.param(Overlap.BUFFER_ONE, Standing(0), [1], [2], [3, 4], id="buffer-one: one fires and one waits"),
    pytest.param(Overlap.BUFFER_ONE, Standing(1, True), [], [], [1, 2, 3, 4], id="buffer-one: the place is taken"),
    pytest.param(Overlap.BUFFER_ALL, Standing(1), [], [1, 2, 3, 4], [], id="buffer-all: all wait"),
    pytest.param(Overlap.BUFFER_ALL, Standing(0), [1], [2, 3, 4], [], id="buffer-all: one fires and the others wait"),
    pytest.param(Overlap.BUFFER_ALL, Standing(0, True), [], [1, 2, 3, 4], [], id="buffer-all: in line behind others"),
    pytest.param(Overlap.CANCEL_OTHER, Standing(2), [4], [], [1, 2, 3], id="cancel-other: the newest fires"),
    pytest.param(Overlap.ALLOW, Standing(9, free=3), [1, 2, 3], [4], [], id="a limit leaves room for some"),
    pytest.param(Overlap.ALLOW, Standing(0, True, 3), [], [1, 2, 3, 4], [], id="a limit: in line behind others"),
    pytest.param(Overlap.SKIP, Standing(0, free=0), [], [1], [2, 3, 4], id="skip under a full limit: one waits"),
    pytest.param(Overlap.BUFFER_ALL, Standing(0, free=-1), [], [1, 2, 3, 4], [], id="a limit that was lowered"),
    pytest.param(Overlap.CANCEL_OTHER, Standing(0, free=0), [], [4], [1, 2, 3], id="cancel-other has none to cancel"),
    pytest.param(Overlap.CANCEL_OTHER, Standing(1, free=0), [4], [], [1, 2, 3], id="cancel-other makes its own room"),
]


@pytest.mark.parametrize(("overlap", "standing", "fires", "waits", "skipped"), OVERLAPS)
def test_overlap(overlap: Overlap, standing: Standing, fires: list[int], waits: list[int], skipped: list[int]) -> None:
    decision = due(firing(Policies(overlap=overlap)), T0 + 4 * SECOND, 9, standing)
    assert seconds(decision.fires) == fires
    assert seconds(slots_of(decision.waiting)) == waits
    assert unfired(decision.unfired, "skipped") == skipped
    assert decision.firing.decided_until == T0 + 4 * SECOND
    assert decision.cancels is (overlap is Overlap.CANCEL_OTHER and bool(fires))


@pytest.mark.parametrize(
    ("policies", "fires", "late", "skipped", "missed"),
    [
        pytest.param(Policies(), [600], list(range(60, 600, 60)), [], [], id="all"),
        pytest.param(
            Policies(catch_up=CatchUp.LATEST), [600], [], list(range(60, 600, 60)), [], id="only the newest fires"
        ),
        pytest.param(
            Policies(catch_up=CatchUp.NONE), [600], [], [], list(range(60, 600, 60)), id="what is late is missed"
        ),
        pytest.param(
            Policies(catch_up_window=3 * MINUTE), [600], [480, 540], [], list(range(60, 480, 60)), id="within a window"
        ),
        pytest.param(
            Policies(catch_up=CatchUp.LATEST, catch_up_window=3 * MINUTE),
            [600],
            [],
            [480, 540],
            list(range(60, 480, 60)),
            id="the newest of a window",
        ),
        pytest.param(
            Policies(overlap=Overlap.BUFFER_ALL), [], list(range(60, 600, 60)), [], [], id="in order behind late ones"
        ),
        pytest.param(
            Policies(overlap=Overlap.CANCEL_OTHER), [600], [], list(range(60, 600, 60)), [], id="cancel-other"
        ),
    ],
)
def test_catch_up(policies: Policies, fires: list[int], late: list[int], skipped: list[int], missed: list[int]) -> None:
    decision = due(firing(policies, EVERY_MINUTE), T0 + 10 * MINUTE, 9)
    assert seconds(decision.fires) == fires
    assert seconds(slots_of(decision.backlog)) == late
    assert unfired(decision.unfired, "skipped") == skipped
    assert unfired(decision.unfired, "missed") == missed


def test_bounds_are_inclusive_and_what_is_outside_is_no_slot() -> None:
    bounded = firing(Policies(start=T0 + 3 * SECOND, end=T0 + 5 * SECOND))
    assert bounded.next_fire_at == T0 + 3 * SECOND
    decision = due(bounded, T0 + 9 * SECOND, 99)
    assert seconds(decision.fires) == [3, 4, 5]
    assert (decision.unfired, decision.firing.next_fire_at) == ((), None)


def test_after_max_runs_there_is_no_next_slot() -> None:
    decision = due(firing(Policies(max_runs=3), started=1), T0 + 4 * SECOND, 99)
    assert seconds(decision.fires) == [1, 2]
    assert unfired(decision.unfired, "skipped") == [3, 4]
    assert (decision.firing.started, decision.firing.next_fire_at) == (3, None)


def test_max_runs_counts_late_slots_too() -> None:
    decision = due(firing(Policies(max_runs=3), EVERY_MINUTE), T0 + 10 * MINUTE, 99)
    assert decision.backlog is not None
    served, after = serve([decision.backlog], decision.firing, Standing(), 99)
    ((_, admitted),) = served
    assert seconds([*admitted.fires, *decision.fires]) == [60, 120, 600]
    assert unfired(admitted.unfired, "skipped") == list(range(180, 600, 60))
    assert (after.started, after.next_fire_at) == (3, None)


def test_a_slot_fires_late_by_its_jitter_and_keeps_its_moment() -> None:
    policies = Policies(jitter=timedelta(hours=1))
    jittered = firing(policies, EVERY_MINUTE)
    wake = comes_due_at(jittered)
    assert jittered.next_fire_at == T0 + MINUTE
    assert wake is not None
    assert T0 + MINUTE < wake < T0 + 2 * MINUTE
    early = due(jittered, wake - timedelta(microseconds=1), 9)
    assert (early.fires, early.firing.next_fire_at) == ((), T0 + MINUTE)
    assert due(early.firing, wake, 9).fires == (T0 + MINUTE,)


@given(
    trigger_id=st.integers(1, 2**40),
    period=st.integers(1, 10**5),
    most=st.integers(0, 10**6),
    after=st.integers(0, 10**7),
)
def test_jitter_keeps_the_order_of_slots(trigger_id: int, period: int, most: int, after: int) -> None:
    schedule, longest = Every(period * SECOND), most * SECOND
    slot = next_after(schedule, T0 + after * SECOND, T0)
    assert slot is not None
    delay = jitter.delay(trigger_id, schedule, slot, T0, longest)
    assert timedelta() <= delay < min(longest, period * SECOND) or delay == longest == timedelta()
    assert delay == jitter.delay(trigger_id, schedule, slot, T0, longest)


def test_what_a_change_of_the_trigger_owes_is_what_the_policies_leave() -> None:
    backlog, rows = owed(firing(Policies(catch_up=CatchUp.LATEST), EVERY_MINUTE), T0 + 10 * MINUTE)
    assert seconds(slots_of(backlog)) == [600]
    assert unfired(rows, "skipped") == list(range(60, 600, 60))


policies_of_all_kinds = st.builds(
    Policies,
    overlap=st.sampled_from(Overlap),
    catch_up=st.sampled_from(CatchUp),
    catch_up_window=st.none() | st.integers(1, 300).map(lambda n: n * SECOND),
    jitter=st.integers(0, 100).map(lambda n: n * SECOND),
    start=st.none() | st.integers(0, 300).map(lambda n: T0 + n * SECOND),
    end=st.none() | st.integers(300, 900).map(lambda n: T0 + n * SECOND),
    max_runs=st.none() | st.integers(1, 20),
)


@settings(max_examples=200, deadline=None)
@given(
    policies=policies_of_all_kinds,
    limited=st.booleans(),
    period=st.integers(1, 70),
    rounds=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=8),
    share=st.integers(1, 7),
)
def test_every_slot_is_covered_once_under_all_policies(
    policies: Policies, limited: bool, period: int, rounds: list[tuple[int, int, int]], share: int
) -> None:
    """Slots that are due are fired, skipped, missed, wait, or are left for the next round: each is one of these."""
    policies = replace(policies, concurrency_key="k", concurrency_limit=2) if limited else policies
    schedule = Every(period * SECOND)
    state, now = firing(policies, schedule), T0
    covered, fired, line = list[datetime](), list[datetime](), list[Backlog]()
    for step, running, limit in rounds:
        now += step * SECOND
        free = 2 - running if limited else None
        decision = due(state, now, limit, Standing(running, bool(line), free))
        state = decision.firing
        fired += decision.fires
        covered += [*decision.fires, *(slot for row in decision.unfired for slot in slots_of(row.slots))]
        if decision.cancels:
            covered += [slot for each in line for slot in slots_of(each)]
            line = []
        line += [each for each in (decision.backlog, decision.waiting) if each]
        served, state = serve(line, state, Standing(running, free=free), share)
        line = []
        for _, admitted in served:
            fired += admitted.fires
            covered += [*admitted.fires, *(slot for row in admitted.unfired for slot in slots_of(row.slots))]
            line += [each for each in (admitted.waiting, admitted.left) if each]
        assert sum(len(admitted.fires) for _, admitted in served) <= share
    waiting = [slot for each in line for slot in slots_of(each)]
    first = max(T0, policies.start - timedelta(microseconds=1)) if policies.start else T0
    until = min(state.decided_until, policies.end) if policies.end else state.decided_until
    expected = list(between(schedule, first, until, T0, limit=ALL))
    decided = sorted([*covered, *waiting])
    exhausted = policies.max_runs is not None and state.started >= policies.max_runs
    assert decided == (expected[: len(decided)] if exhausted else expected)
    assert len(fired) <= (policies.max_runs or ALL)
    assert state.next_fire_at is not None or exhausted or policies.end is not None


def test_no_policies_are_what_flyte_does() -> None:
    plain = due(firing(DEFAULTS), T0 + 3 * SECOND, 9, Standing())
    assert seconds(plain.fires) == [1, 2, 3]
    assert (plain.backlog, plain.waiting, plain.unfired) == (None, None, ())
