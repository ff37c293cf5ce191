"""What triggers owe, told again from the changes their owners made. The ledger is never asked.

A clock that steps makes one thing uncertain: which of the moments that pass twice were decided the first time. So an
era has two ends each: what lies certainly inside must be covered, what lies certainly outside must not.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import takewhile

from wingbeat.core.ids import TriggerName
from wingbeat.core.policy import DEFAULTS, Policies
from wingbeat.core.schedule import Schedule, between

UNBOUNDED = 10**6
INSTANT = timedelta(microseconds=1)


@dataclass(slots=True)
class Era:
    """A trigger from one change to the next."""

    revision: int
    schedule: Schedule | None
    anchor: datetime
    active: bool
    began: datetime
    """The moment of the change."""
    began_latest: datetime
    """The latest moment that any decision before the change can have known."""
    policies: Policies = DEFAULTS
    ended: datetime | None = None
    ended_latest: datetime | None = None

    def slots(self, after: datetime, until: datetime) -> tuple[datetime, ...]:
        if self.schedule is None or not self.active:
            return ()
        if self.policies.start:
            after = max(after, self.policies.start - INSTANT)
        if self.policies.end:
            until = min(until, self.policies.end)
        return between(self.schedule, after, until, self.anchor, limit=UNBOUNDED)

    def owed(self, now: datetime) -> tuple[datetime, ...]:
        """With a limit of runs only the ledger knows which slots are none any more."""
        if self.policies.max_runs:
            return ()
        return self.slots(self.began_latest, self.ended or now)

    def may_owe(self, slot: datetime, latest: datetime) -> bool:
        """Whether it is one of its slots that came due in its time, or can have."""
        if self.schedule is None or not self.active:
            return False
        return self.began < slot <= (self.ended_latest or latest)


@dataclass(frozen=True, slots=True)
class Pause:
    """It ends with whatever changes the trigger."""

    revision: int
    until: datetime | None


@dataclass(slots=True)
class History:
    """All that one trigger ever was."""

    name: TriggerName
    id: int = 0
    eras: list[Era] = field(default_factory=list[Era])
    deleted: bool = False
    paused: Pause | None = None
    ends: list[tuple[int, bool]] = field(default_factory=list[tuple[int, bool]])
    """Of its runs, but those of backfills: the revision, and whether it failed."""

    @property
    def current(self) -> Era:
        return self.eras[-1]

    @property
    def active(self) -> bool:
        return bool(self.eras) and self.current.active

    def changed(
        self,
        schedule: Schedule | None,
        *,
        active: bool,
        now: datetime,
        latest: datetime,
        policies: Policies = DEFAULTS,
    ) -> None:
        """One more revision. A schedule that stays keeps its phase, whatever happens in between."""
        anchor = now
        if self.eras:
            self.current.ended, self.current.ended_latest = now, latest
            if self.current.schedule == schedule:
                anchor = self.current.anchor
        self.eras.append(Era(len(self.eras) + 1, schedule, anchor, active, now, latest, policies))

    @property
    def held(self) -> Pause | None:
        """The pause that is in force."""
        holds = self.paused and self.paused.revision == self.current.revision and not self.active and not self.deleted
        return self.paused if holds else None

    @property
    def failures_in_a_row(self) -> int:
        of_revision = [failed for revision, failed in self.ends if revision == self.current.revision]
        return len(list(takewhile(bool, reversed(of_revision))))

    def owed(self, now: datetime) -> dict[datetime, int]:
        """Every slot that must be covered by now, and the revision that owes it."""
        return {slot: era.revision for era in self.eras for slot in era.owed(now)}

    def era(self, revision: int) -> Era:
        return self.eras[revision - 1]
