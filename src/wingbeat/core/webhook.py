"""Webhooks: what is told to whom, and how often one that nobody takes is tried."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

from wingbeat.core.ids import ActionId
from wingbeat.core.retry import Backoff

TRIES = 12
"""Over about five hours, with the back-off."""
BACKOFF = Backoff(timedelta(seconds=1), factor=4, cap=timedelta(hours=1))
_ANY_BELOW = "*."


@dataclass(frozen=True, slots=True)
class Letter:
    """A POST to send. It may arrive more than once, each time with the same key."""

    condition: ActionId
    url: str = field(repr=False)
    """Often a secret, but for its host."""
    body: bytes = field(repr=False)

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def key(self) -> str:
        run = self.condition.run
        return f"{run.project}/{run.domain}/{run.name}/{self.condition.name}"


def is_allowed(host: str, hosts: Collection[str]) -> bool:
    """`hosts` are names, or `*.` and a name for all below it; none at all allow every host."""
    name = host.lower().rstrip(".")
    return not hosts or any(_covers(pattern.lower().rstrip("."), name) for pattern in hosts)


def _covers(pattern: str, name: str) -> bool:
    return name.endswith(pattern[1:]) if pattern.startswith(_ANY_BELOW) else name == pattern
