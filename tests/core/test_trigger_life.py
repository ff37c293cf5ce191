"""Whole lives of triggers: decisions, catching up, redeployments and clocks that step, against what was owed."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulation.model import History
from tests.slots import first_slots
from wingbeat.core.backlog import Backlog
from wingbeat.core.cron import DstGap, DstOverlap
from wingbeat.core.ids import TriggerName
from wingbeat.core.schedule import Every, FixedRate, Schedule, next_after, parse
from wingbeat.core.trigger import LIVE, Deployment, Firing, catch_up, due, moved, owed, redeployed

NAME = TriggerName("p", "d", "t", "n")
SECOND = timedelta(seconds=1)
BEGINNING = datetime(2026, 3, 28, 22, tzinfo=UTC)
"""Before a change of the clocks in Berlin; in Lord Howe and Havana others are near enough to be reached."""


@dataclass
class Life:
    """A trigger as the scheduler moves it, and its true history."""

    schedule: Schedule | None
    now: datetime = BEGINNING
    latest: datetime = BEGINNING
    firing: Firing = field(init=False)
    backlogs: list[Backlog] = field(default_factory=list[Backlog])
    fired: list[datetime] = field(default_factory=list[datetime])
    history: History = field(default_factory=lambda: History(NAME))

    def __post_init__(self) -> None:
        self.firing = moved(Firing(1, 1, self.schedule, True, self.now, self.now, next_fire_at=None), self.now)
        self.history.changed(self.schedule, active=True, now=self.now, latest=self.latest)

    def step(self, by: timedelta) -> None:
        self.now += by
        self.latest = max(self.latest, self.now)

    def step_to_slot(self, number: int) -> None:
        """To the very moment, where mistakes of one instant show."""
        if self.firing.schedule:
            for slot in first_slots(self.firing.schedule, self.now, self.firing.anchor, number):
                self.step(slot - self.now)

    def decide(self, limit: int) -> None:
        before, decision = self.firing, due(self.firing, self.now, limit)
        self.firing = decision.firing
        assert len(decision.fires) <= limit
        assert list(decision.fires) == sorted(decision.fires)
        assert all(self.now - LIVE < slot <= self.now for slot in decision.fires)
        assert before.decided_until <= self.firing.decided_until <= max(self.now, before.decided_until)
        assert decision.unfired == ()
        self.fired += decision.fires
        self.backlogs += [decision.backlog] if decision.backlog else []

    def catch_up(self, share: int) -> None:
        """As the store does it: what is late waits until the moment at which it was found."""
        ready = [each for each in self.backlogs if each.until <= self.now]
        self.backlogs = [each for each in self.backlogs if each.until > self.now]
        for backlog in ready:
            slots, rest = catch_up(backlog, share)
            assert all(backlog.after < slot <= backlog.until for slot in slots)
            self.fired += slots
            if rest:
                assert backlog.after < rest.after < rest.until == backlog.until
                self.backlogs.append(rest)

    def redeploy(self, schedule: Schedule | None) -> None:
        late, unfired = owed(self.firing, self.now)
        assert unfired == ()
        self.backlogs += [late] if late else []
        deployment = Deployment(NAME, "v1", True, "TYPE_SCHEDULE", schedule, b"", b"", "")
        self.firing = redeployed(self.firing, deployment, revision=self.firing.revision + 1, now=self.now)
        self.history.changed(schedule, active=True, now=self.now, latest=self.latest)
        assert self.firing.decided_until >= self.now

    def redeploy_unchanged(self, times: int) -> None:
        for _ in range(times):
            self.redeploy(self.firing.schedule)

    def check(self) -> None:
        firing = self.firing
        assert firing.anchor == self.history.current.anchor
        following = firing.schedule and next_after(firing.schedule, firing.decided_until, firing.anchor)
        assert firing.next_fire_at == following
        assert following is None or following > firing.decided_until
        assert len(self.fired) == len(set(self.fired))

    def end(self) -> None:
        self.step(self.latest - self.now)
        self.decide(limit=10**6)
        self.catch_up(share=10**6)
        self.check()
        assert self.backlogs == []
        assert set(self.history.owed(self.now)) <= set(self.fired)
        assert all(any(era.may_owe(slot, self.latest) for era in self.history.eras) for slot in self.fired)


def daily(minute: str, hour: str, zone: str, gap: DstGap, overlap: DstOverlap) -> Schedule:
    return parse(f"{minute} {hour} * * *", zone, dst_gap=gap, dst_overlap=overlap)


crons = st.builds(
    daily,
    st.sampled_from(["0", "*/7", "13,57", "30"]),
    st.sampled_from(["*", "2", "*/5", "1-3"]),
    st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/Havana"]),
    st.sampled_from(DstGap),
    st.sampled_from(DstOverlap),
)
periods = st.integers(20, 90 * 60).map(lambda seconds: seconds * SECOND)
starts = st.none() | st.integers(-7200, 7200).map(lambda seconds: BEGINNING + seconds * SECOND)
schedules = st.none() | crons | st.builds(Every, periods) | st.builds(FixedRate, periods, starts)

milliseconds = st.integers(0, 100_000).map(lambda number: timedelta(milliseconds=number))
minutes = st.integers(0, 240).map(lambda number: timedelta(minutes=number))
moves = st.one_of(
    st.tuples(st.just("step"), milliseconds | minutes),
    st.tuples(st.just("step"), st.integers(-60, -1).map(lambda number: timedelta(minutes=number))),
    st.tuples(st.just("step_to_slot"), st.integers(1, 4)),
    st.tuples(st.just("decide"), st.integers(0, 5)),
    st.tuples(st.just("catch_up"), st.integers(1, 7)),
    st.tuples(st.just("redeploy"), schedules),
    st.tuples(st.just("redeploy_unchanged"), st.integers(1, 2)),
)


@settings(max_examples=250, deadline=None, derandomize=True)
@given(schedules, st.lists(moves, max_size=25))
def test_every_slot_of_a_life_is_fired_once_and_none_early(
    schedule: Schedule | None, life: list[tuple[str, object]]
) -> None:
    trigger = Life(schedule)
    for move, value in life:
        getattr(trigger, move)(value)
        trigger.check()
    trigger.end()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(schedules, milliseconds | minutes, schedules)
def test_a_redeploy_owes_nothing_for_the_time_before_it(
    before: Schedule | None, passed: timedelta, after: Schedule | None
) -> None:
    trigger = Life(before)
    trigger.step(passed)
    trigger.redeploy(after)
    trigger.decide(limit=10**6)
    assert trigger.fired == []
    assert trigger.firing.next_fire_at is None or trigger.firing.next_fire_at > trigger.now
