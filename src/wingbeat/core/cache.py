"""Results that are kept for actions that ask for the same: by which key, where one looks, how long they count.

Keys are digests over parts whose lengths come first: no two different sets of parts ever read the same.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum

from wingbeat.core.ids import AttemptId, Scope


class CacheStatus(IntEnum):
    """The numbers of flyteidl2.core.CatalogCacheStatus, as far as they happen here."""

    DISABLED = 0
    MISS = 1
    HIT = 2
    POPULATED = 3
    """It was not there, and is now."""
    SKIPPED = 6
    """Nobody has looked: the result shall replace what is there."""


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """How the cache serves an action."""

    key: str
    """The same for actions of which one result is as good as the other."""
    scope: Scope | None
    """Whose results count; None: everybody's. An action's own result is always kept as its own scope's."""
    overwrite: bool = False
    """The result replaces what is there, which is not looked at."""
    serializable: bool = False
    """One action computes at a time; the others with this key wait for its result."""
    max_age: timedelta | None = None
    """Older results do not count; None: all do."""

    @property
    def reservation(self) -> str:
        """Who holds the reservation of this name computes for all with the same key and scope."""
        scope = (self.scope.project, self.scope.domain) if self.scope else ()
        return digest(self.key, *scope)

    def fresh_since(self, now: datetime) -> datetime:
        """Results that were made earlier do not count."""
        return datetime.min.replace(tzinfo=UTC) if self.max_age is None else now - self.max_age


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """A result that is kept."""

    origin: AttemptId
    """Which attempt made it."""
    output_uri: str
    """The directory of its outputs.pb."""
    made_at: datetime


def digest(*parts: str | bytes) -> str:
    encoded = [part.encode() if isinstance(part, str) else part for part in parts]
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in encoded)).hexdigest()
