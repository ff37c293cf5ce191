"""Rows of `run_need`: runs that read what another run has written. That one, the source, is not pruned meanwhile.

Who needs a source locks its row, and so does who prunes it: one of the two sees what the other did.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from wingbeat.core.ids import RunId
from wingbeat.core.launch import directories_above
from wingbeat.errors import Conflict
from wingbeat.store.database import Transaction
from wingbeat.store.filters import Arguments

MOST_SOURCES = 100
"""Of one run, that are looked at."""
_CHUNK = 500
_KEY = ("source_project", "source_domain", "source_run", "project", "domain", "run")


class Until(StrEnum):
    """How long a source is needed."""

    END = "end"
    """Until no action of the run goes on: by then it has read what it was given."""
    PRUNED = "pruned"
    """For as long as the run is kept: what it shows as its own is the source's."""


def of_revision(trigger_id: int, revision: int) -> RunId:
    """What stands in the place of a run for a revision of a trigger, whose runs will read its inputs."""
    return RunId("", "", f"trigger/{trigger_id}/{revision}")


async def add(tx: Transaction, run: RunId, source: RunId, *, until: Until = Until.PRUNED) -> bool:
    """Keep `source` for `run`. False: it is not there, or pruned, and nothing of it may be used.

    What was needed for longer still is.
    """
    if source == run:
        return True
    found = await tx.fetchrow(
        f"""
        SELECT name FROM run WHERE project = $1 AND domain = $2 AND name = $3 AND pruned_at IS NULL{tx.for_share}
        """,
        *source.names,
    )
    if found is None:
        return False
    await tx.execute(
        f"""
        INSERT INTO run_need ({", ".join(_KEY)}, kept_until) VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT ({", ".join(_KEY)}) DO UPDATE SET kept_until = excluded.kept_until
         WHERE run_need.kept_until < excluded.kept_until
        """,
        *source.names,
        *run.names,
        until,
    )
    return True


async def note_inputs(tx: Transaction, uris: Mapping[RunId, str]) -> None:
    """Keep the runs in whose directories are the inputs, at these URIs, of other runs or of revisions of triggers."""
    found = await _with_directories(tx, dict(place for uri in uris.values() for place in directories_above(uri)))
    for run, uri in sorted(uris.items()) if found else ():
        for directory, source in directories_above(uri):
            if directory in found:
                await add(tx, run, source)


async def require(tx: Transaction, run: RunId, source: RunId) -> None:
    """Like `add`. Raises Conflict when nothing of the source may be used."""
    if not await add(tx, run, source):
        raise Conflict(f"run {source.name!r} is not kept any more: what it has written cannot be used again")


async def sources(tx: Transaction, run: RunId) -> list[RunId]:
    """What the run reads of others, or has read; no more than `MOST_SOURCES`."""
    rows = await tx.fetch(
        f"""
        SELECT source_project, source_domain, source_run FROM run_need
         WHERE project = $1 AND domain = $2 AND run = $3
         ORDER BY source_project, source_domain, source_run LIMIT {MOST_SOURCES}
        """,
        *run.names,
    )
    return [RunId(row["source_project"], row["source_domain"], row["source_run"]) for row in rows]


async def forget(tx: Transaction, runs: Iterable[RunId]) -> None:
    """They need nothing any more."""
    await tx.update(
        "DELETE FROM run_need WHERE project = $1 AND domain = $2 AND run = $3",
        [run.names for run in runs],
    )


async def _with_directories(tx: Transaction, places: Mapping[str, RunId]) -> set[str]:
    """Those of the directories that the runs have that may have them."""
    found: set[str] = set()
    pairs = list(places.items())
    for first in range(0, len(pairs), _CHUNK):
        args = Arguments()
        values = args.rows((*run.names, directory) for directory, run in pairs[first : first + _CHUNK])
        rows = await tx.fetch(
            f"""
            WITH k (project, domain, name, directory) AS (VALUES {values})
            SELECT k.directory
              FROM k CROSS JOIN run r
             WHERE r.project = k.project AND r.domain = k.domain AND r.name = k.name AND r.output_base = k.directory
            """,
            *args.values,
        )
        found.update(row["directory"] for row in rows)
    return found
