"""Rows of `buried_spec`: specs of tasks that nothing seems to use any more.

A run that is being written down may use one at this very moment, and nobody sees it yet. So a spec is buried first,
where it can still be read, and long after, when every run of that time is written down, it is dug out again or gone.
"""

from collections.abc import Collection
from datetime import datetime

from wingbeat.store import upload_uses
from wingbeat.store.database import Transaction, placeholders, to_micros

_USED = " OR ".join(
    f"(SELECT u.spec_digest FROM {table} u WHERE u.spec_digest >= {{spec}}.digest ORDER BY u.spec_digest LIMIT 1)"
    " = {spec}.digest"
    for table in ("action", "task")
)
"""By the next one in the index: when most actions have the same spec, databases would rather look through them all."""


async def find(tx: Transaction, digest: str) -> bytes | None:
    row = await tx.fetchrow("SELECT spec FROM buried_spec WHERE digest = $1", digest)
    return row["spec"] if row else None


async def bury(tx: Transaction, digests: Collection[str]) -> None:
    """Those of the specs that no action uses and no version of a task."""
    if not digests:
        return
    chosen, now = f"digest IN ({placeholders(2, len(digests))})", to_micros(tx.now)
    await tx.execute(
        f"""
        INSERT INTO buried_spec (digest, spec, buried_at)
        SELECT s.digest, s.spec, CAST($1 AS BIGINT) FROM task_spec s
         WHERE s.{chosen} AND ({_USED.format(spec="s")}) IS NOT TRUE
            ON CONFLICT (digest) DO UPDATE SET buried_at = excluded.buried_at
        """,
        now,
        *digests,
    )
    await tx.execute(
        f"""
        DELETE FROM task_spec
         WHERE {chosen} AND EXISTS (SELECT 1 FROM buried_spec b
                                     WHERE b.digest = task_spec.digest AND b.buried_at = $1)
        """,
        now,
        *digests,
    )


async def settle(tx: Transaction, *, before: datetime, limit: int) -> int:
    """Look at up to `limit` that were buried `before`: those in use are back, the others gone. How many it were."""
    rows = await tx.fetch(
        "SELECT digest FROM buried_spec WHERE buried_at < $1 ORDER BY buried_at LIMIT $2", to_micros(before), limit
    )
    if not rows:
        return 0
    digests = [row["digest"] for row in rows]
    chosen = f"digest IN ({placeholders(1, len(digests))})"
    await tx.execute(
        f"""
        INSERT INTO task_spec (digest, spec)
        SELECT b.digest, b.spec FROM buried_spec b WHERE b.{chosen} AND ({_USED.format(spec="b")})
            ON CONFLICT DO NOTHING
        """,
        *digests,
    )
    await tx.execute(f"DELETE FROM buried_spec WHERE {chosen}", *digests)
    kept = {row["digest"] for row in await tx.fetch(f"SELECT digest FROM task_spec WHERE {chosen}", *digests)}
    await upload_uses.forget(tx, [upload_uses.of_spec(digest) for digest in digests if digest not in kept])
    return len(digests)
