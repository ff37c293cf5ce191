"""Who has a fire, and whether they are still there to end it.

A lease counts for who cannot look: on the same machine a process itself says whether it is alive, so a clock that jumps
makes nobody run twice.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

from wingbeat.compose.process import is_gone, this_process
from wingbeat.store.compose.owners import Owner


def _new_owner() -> str:
    here = this_process()
    return json.dumps([here.name, here.place, here.identity, uuid4().hex])


@dataclass(frozen=True, slots=True)
class Claimant:
    lease: timedelta
    owner: str = field(default_factory=_new_owner)
    held: set[str] = field(default_factory=set[str])
    """The events that are being carried out here."""

    def until(self, now: datetime) -> datetime:
        return now + self.lease

    def may_take(self, event_id: str, owner: str | None, now: datetime) -> bool:
        """When the lease of `owner` has ended."""
        if owner is None:
            return True
        if owner == self.owner:
            return event_id not in self.held
        return has_gone(owner, 0.0, now)


def has_gone(owner: str, lease_until: float, now: datetime) -> bool:
    """Whether who owns a fire is gone: where nobody can look, when the lease has ended."""
    name, place, process, _ = json.loads(owner)
    return is_gone(Owner(name, place, process, lease_until), now=now)
