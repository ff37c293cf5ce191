"""Rows of `upload_use`: who speaks of an upload, so that it is kept for as long as its holder is."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from wingbeat.core.ids import RunId
from wingbeat.core.uploads import UPLOADS
from wingbeat.store.database import EPOCH, Transaction, from_micros, placeholders
from wingbeat.store.filters import Arguments

_CHUNK = 500
_LAST = "\U0010ffff"
"""Sorts after everything that may follow a folder's name."""


def of_run(run: RunId) -> str:
    return f"run/{run.project}/{run.domain}/{run.name}"


def of_spec(digest: str) -> str:
    return f"spec/{digest}"


def of_revision(trigger_id: int, revision: int) -> str:
    return f"trigger/{trigger_id}/{revision}"


def of_upload(directory: str) -> str:
    """Inputs, by the key of their directory, which may be below `UPLOADS` or elsewhere."""
    return f"upload/{directory}"


async def note(tx: Transaction, holder: str, paths: Iterable[str]) -> None:
    """The holder speaks of these; saying so again changes nothing."""
    rows = sorted(paths)
    for first in range(0, len(rows), _CHUNK):
        args = Arguments()
        values = args.rows((path, holder) for path in rows[first : first + _CHUNK])
        await tx.execute(f"INSERT INTO upload_use (path, holder) VALUES {values} ON CONFLICT DO NOTHING", *args.values)


async def forget(tx: Transaction, holders: Collection[str]) -> None:
    """They are gone."""
    if holders:
        await tx.execute(f"DELETE FROM upload_use WHERE holder IN ({placeholders(1, len(holders))})", *holders)


async def known_since(tx: Transaction) -> datetime:
    """Who speaks of older uploads is not known."""
    row = await tx.fetchrow("SELECT max(at) AS at FROM upload_use_since")
    return from_micros(row["at"] or 0) if row else EPOCH


async def used(tx: Transaction, folders: Sequence[str], *, base_uri: str) -> set[str]:
    """Those of the folders that somebody speaks of, or that are the inputs of a run."""
    args = Arguments(f"{base_uri}/{UPLOADS}/", _LAST)
    values = args.rows((folder,) for folder in folders)
    rows = await tx.fetch(
        f"""
        WITH k (folder) AS (VALUES {values})
        SELECT k.folder FROM k
         WHERE (SELECT 1 FROM upload_use u
                 WHERE u.path >= k.folder AND u.path < CAST(k.folder || $2 AS TEXT) LIMIT 1) = 1
            OR (SELECT 1 FROM run r
                 WHERE r.inputs IS NULL AND r.pruned_at IS NULL
                   AND r.input_uri = CAST($1 || k.folder AS TEXT) LIMIT 1) = 1
        """,
        *args.values,
    )
    return {row["folder"] for row in rows}
