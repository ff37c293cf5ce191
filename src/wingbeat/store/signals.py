"""Rows of `signal`: what conditions were given, by whom and when. A condition is given one value, once."""

import json
from collections.abc import Mapping
from datetime import datetime

from wingbeat.core.action import ActionType, Phase
from wingbeat.core.condition import Signal
from wingbeat.core.ids import ActionId, RunId
from wingbeat.core.value import Value
from wingbeat.store.database import Transaction, from_micros, to_micros

_NAMES = ("project", "domain", "run", "action", "value", "given_by", "given_at")
_COLUMNS = ", ".join(_NAMES)


async def insert(tx: Transaction, condition: ActionId, signal: Signal) -> None:
    """Raises Conflict when it was given one already."""
    row = (*condition.names, json.dumps(signal.value), signal.by, to_micros(signal.at))
    await tx.insert("signal", _NAMES, [row])


async def find(tx: Transaction, condition: ActionId) -> Signal | None:
    row = await tx.fetchrow(
        """
        SELECT value, given_by, given_at FROM signal
         WHERE project = $1 AND domain = $2 AND run = $3 AND action = $4
        """,
        *condition.names,
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
        *parent.names,
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
        *target.names,
        *source.names,
        ActionType.CONDITION.value,
        Phase.RECOVERED.value,
    )
