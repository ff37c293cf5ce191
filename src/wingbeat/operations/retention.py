"""What is kept for how long. One node at a time removes the rest, in small steps, each a transaction of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from wingbeat.store import leases, retention
from wingbeat.store.database import Transaction
from wingbeat.store.retention import Remove

LEASE_NAME = "retention"


@dataclass(frozen=True, slots=True)
class Rule:
    what: str
    remove: Remove
    age: timedelta


@dataclass(frozen=True, slots=True)
class Place:
    """How far a pass over everything has come."""

    rule: int = 0
    after: int = 0


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one step did."""

    what: str
    removed: int
    then: Place | None
    """Where the next step goes on; None: the pass is over."""
    at: datetime


def rules(
    *, ledger: timedelta | None, revisions: timedelta | None, events: timedelta | None, cache: timedelta | None
) -> tuple[Rule, ...]:
    """How long each is kept; None is for ever."""
    wanted = (
        ("ledger", retention.ledger, ledger),
        ("revisions", retention.revisions, revisions),
        ("events", retention.events, events),
        ("cache", retention.cache, cache),
    )
    return tuple(Rule(what, remove, age) for what, remove, age in wanted if age is not None)


async def prune(
    tx: Transaction, rules: Sequence[Rule], place: Place, *, limit: int, node: str, lease: timedelta
) -> Pruned | None:
    """One step of a pass; None while another node has the lease."""
    if await leases.acquire(tx, LEASE_NAME, node, lease) is None:
        return None
    if place.rule >= len(rules):
        return Pruned("", 0, None, tx.now)
    rule = rules[place.rule]
    step = await rule.remove(tx, before=tx.now - rule.age, after=place.after, limit=limit)
    following = Place(place.rule + 1) if step.reached is None else Place(place.rule, step.reached)
    return Pruned(rule.what, step.removed, following if following.rule < len(rules) else None, tx.now)
