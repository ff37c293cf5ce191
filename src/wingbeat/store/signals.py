"""Rows of `signal`: what conditions were given, by whom and when. A condition is given one value, once."""

import json
from collections.abc import Mapping
from datetime import datetime

from wingbeat.core.action import ActionType, Phase
from wingbeat.core.condition import Signal
from wingbeat.core.ids import ActionId, RunId
from wingbeat.core.value import Value
from wingbeat.store.database import Transaction, from_micros, to_micros

_TYPES = {
    "project": "text",
    "domain": "text",
    "run": "text",
    "action": "text",
    "value": "text",
    "given_by": "text",
    "given_at": "bigint",
}
_COLUMNS = ", ".join(_TYPES)


async def insert(tx: Transaction, condition: ActionId, signal: Signal) -> None:
    """Raises Conflict when it was given one already."""
    row = (*_key(condition), json.dumps(signal.value), signal.by, to_micros(signal.at))
    await tx.insert("signal", _TYPES, [row])


async def find(tx: Transaction, condition: ActionId) -> Signal | None:
    row = await tx.fetchrow(
        """
        SELECT value, given_by, given_at FROM signal
         WHERE project = $1 AND domain = $2 AND run = $3 AND action = $4
        """,
        *_key(condition),
    )
    return None if row is None else Signal(json.loads(row["value"]), row["given_by"], from_micros(row["given_at"]))


async def of_children(tx: Transaction, parent: ActionId, *, since: datetime | None) -> Mapping[str, Value]:
    """What the conditions of `parent` that changed at or after `since`, or all of them, were given, by their names."""
    rows = await tx.fetch(
        """
        SELECT s.action, s.value
          FROM action a
          JOIN signal s ON s.project = a.project AND s.domain = a.domain AND s.run = a.run AND s.action = a.name
         WHERE a.project = $1 AND a.domain = $2 AND a.run = $3 AND a.parent = $4 AND a.updated_at >= $5
        """,
        *_key(parent),
        to_micros(since) if since else 0,
    )
    return {row["action"]: json.loads(row["value"]) for row in rows}


async def copy(tx: Transaction, source: RunId, target: RunId) -> None:
    """For a run that recovers another one: give its recovered conditions, which are there, what the source's had."""
    await tx.execute(
        f"""
        INSERT INTO signal ({_COLUMNS})
        SELECT a.project, a.domain, a.run, a.name, s.value, s.given_by, s.given_at
          FROM action a
          JOIN signal s ON s.project = $4 AND s.domain = $5 AND s.run = $6 AND s.action = a.name
         WHERE a.project = $1 AND a.domain = $2 AND a.run = $3 AND a.action_type = $7 AND a.phase = $8
        """,
        target.project,
        target.domain,
        target.name,
        source.project,
        source.domain,
        source.name,
        ActionType.CONDITION.value,
        Phase.RECOVERED.value,
    )


def _key(action: ActionId) -> tuple[str, str, str, str]:
    return action.run.project, action.run.domain, action.run.name, action.name
