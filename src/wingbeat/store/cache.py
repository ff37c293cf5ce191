"""Rows of `cache_entry`: results that are kept, each with the attempt that made it.

An entry belongs to the scope of the action that made it. Whose entries count is for those to say who look.
"""

import json
from datetime import timedelta

from wingbeat.core.cache import CacheEntry, CachePolicy
from wingbeat.core.ids import ActionId, AttemptId, RunId, Scope
from wingbeat.store.database import Row, Transaction, from_micros, to_micros

USE_GRAIN = timedelta(hours=1)
"""How exactly the last use is known: an entry that serves all the time is not written all the time."""


async def find(tx: Transaction, policy: CachePolicy) -> CacheEntry | None:
    """The latest that counts, locked until the end of the transaction and used by now."""
    scope = "" if policy.scope is None else "AND project = $3 AND domain = $4"
    row = await tx.fetchrow(
        f"""
        SELECT project, domain, run, action, attempt, output_uri, made_at, used_at
          FROM cache_entry
         WHERE key = $1 AND made_at >= $2 {scope}
         ORDER BY made_at DESC, project, domain LIMIT 1{tx.for_update}
        """,
        policy.key,
        to_micros(policy.fresh_since(tx.now)),
        *((policy.scope.project, policy.scope.domain) if policy.scope else ()),
    )
    if row is None:
        return None
    if from_micros(row["used_at"]) <= tx.now - USE_GRAIN:
        await _use(tx, policy.key, row)
    return _entry(row)


async def put(tx: Transaction, policy: CachePolicy, origin: AttemptId, output_uri: str) -> None:
    """Keep a result in the scope of its own run. One that still counts stays, unless it shall be replaced."""
    outdated = tx.now + timedelta.resolution if policy.overwrite else policy.fresh_since(tx.now)
    run = origin.action.run
    await tx.execute(
        """
        INSERT INTO cache_entry (key, project, domain, run, action, attempt, output_uri, made_at, used_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
        ON CONFLICT (key, project, domain) DO UPDATE
           SET run = excluded.run, action = excluded.action, attempt = excluded.attempt,
               output_uri = excluded.output_uri, made_at = excluded.made_at, used_at = excluded.used_at
         WHERE cache_entry.made_at < $9
        """,
        policy.key,
        *run.names,
        origin.action.name,
        origin.number,
        output_uri,
        to_micros(tx.now),
        to_micros(outdated),
    )


def encoded(policy: CachePolicy) -> str:
    scope = [policy.scope.project, policy.scope.domain] if policy.scope else None
    age = None if policy.max_age is None else policy.max_age.total_seconds()
    return json.dumps([policy.key, scope, policy.overwrite, policy.serializable, age])


def decoded(text: str) -> CachePolicy:
    key, scope, overwrite, serializable, age = json.loads(text)
    max_age = None if age is None else timedelta(seconds=age)
    return CachePolicy(key, Scope(*scope) if scope else None, overwrite, serializable, max_age)


async def _use(tx: Transaction, key: str, row: Row) -> None:
    await tx.execute(
        "UPDATE cache_entry SET used_at = $4 WHERE key = $1 AND project = $2 AND domain = $3",
        key,
        row["project"],
        row["domain"],
        to_micros(tx.now),
    )


def _entry(row: Row) -> CacheEntry:
    action = ActionId(RunId(row["project"], row["domain"], row["run"]), row["action"])
    return CacheEntry(AttemptId(action, row["attempt"]), row["output_uri"], from_micros(row["made_at"]))
