"""Which runs go by their age, and why some that are old enough stay."""

from dataclasses import dataclass
from enum import StrEnum

from wingbeat.core.ids import RunId, Scope


class Kept(StrEnum):
    """Why a run stays that is old enough to go."""

    UNFINISHED = "unfinished"
    """One of its actions is not over."""
    NEEDED = "needed"
    """Another run reads what it has written."""
    CACHED = "cached"
    """A result of it is in the cache."""
    BUSY = "busy"
    """Somebody else is about to use it, or to prune it."""


@dataclass(frozen=True, slots=True, order=True)
class Ended:
    """A run and when it ended: also how far a pass over all runs has come."""

    scope: Scope
    ended_at: int
    """Microseconds since 1970, as the database has it."""
    run: str

    @property
    def id(self) -> RunId:
        return RunId(self.scope.project, self.scope.domain, self.run)


BEGINNING = Ended(Scope("", ""), 0, "")
"""Before every run."""
