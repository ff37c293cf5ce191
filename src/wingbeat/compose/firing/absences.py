"""Triggers whose code this program has not: others may have it, so their slots are left to them.

Its one rule: what nobody else has done after a while is told of, with an event, again and again but ever more rarely;
it stays due.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from wingbeat.core.trigger import MAX_BACKOFF, back_off
from wingbeat.store.compose import activations, events
from wingbeat.store.compose.activations import Activation
from wingbeat.store.compose.transaction import Transaction

TIME_FOR_OTHERS = timedelta(seconds=2)
"""More than another process needs to see that something is due."""


@dataclass(frozen=True, slots=True)
class _Absence:
    decided_until: datetime
    until: datetime
    """When to look at it again."""
    failures: int = 0


@dataclass(slots=True)
class Absences:
    _by_name: dict[str, _Absence] = field(default_factory=dict[str, _Absence])

    def passed_over(self, now: datetime) -> Collection[str]:
        """The triggers not to look at."""
        forgotten = now - 2 * MAX_BACKOFF
        self._by_name = {name: each for name, each in self._by_name.items() if each.until > forgotten}
        return [name for name, each in self._by_name.items() if each.until > now]

    def next_look(self, now: datetime) -> datetime | None:
        return min((each.until for each in self._by_name.values() if each.until > now), default=None)

    def pass_over(self, activation: Activation, until: datetime) -> None:
        self._by_name[activation.name] = _Absence(activation.decided_until, until)

    def leave(self, tx: Transaction, activation: Activation, now: datetime, *, why: str) -> None:
        """To others first; when they did nothing about it, it is told."""
        before = self._by_name.get(activation.name)
        if before is None or before.decided_until != activation.decided_until:
            self.pass_over(activation, now + TIME_FOR_OTHERS)
        elif before.until <= now:
            failures = before.failures + 1
            self._by_name[activation.name] = _Absence(activation.decided_until, now + back_off(failures), failures)
            events.add(tx, activation.name, status="error", now=now, kind="schedule", error=why)
            activations.fail(tx, activation.name, failures)

    def end(self, name: str) -> None:
        self._by_name.pop(name, None)
