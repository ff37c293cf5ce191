"""Lists of what is in the ledger of a trigger, newest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from wingbeat.core.action import Phase
from wingbeat.core.ids import ROOT_ACTION, RunId
from wingbeat.core.listing import Filter, Function, ListQuery, Page, Sort
from wingbeat.store import fires
from wingbeat.store.database import Row, Transaction, from_micros, to_micros
from wingbeat.store.filters import Arguments, Column, Columns, Kind
from wingbeat.store.fires import Fire, FireKind, Outcome
from wingbeat.store.listing import Listing, fetch_page

_LISTING = Listing(
    select=f"{', '.join(f'f.{column}' for column in fires.COLUMNS)}, t.project, t.domain, a.phase",
    source=f"""
        fire f
        JOIN trigger_spec t ON t.trigger_id = f.trigger_id
        LEFT JOIN action a ON a.project = t.project AND a.domain = t.domain AND a.run = f.run_name
                          AND a.name = '{ROOT_ACTION}'
        WHERE {{where}}
    """,
    columns=Columns(
        {
            "decided_at": Column("f.decided_at", Kind.MOMENT),
            "kind": Column("f.kind"),
            "key": Column("f.key"),
            "outcome": Column("f.outcome"),
        }
    ),
    key=("kind", "key"),
    default_sort=(Sort("decided_at", ascending=False),),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the ledger, and what became of it."""

    fire: Fire
    decided_at: datetime
    run: RunId | None
    phase: Phase | None
    """Of the run; None when there is none, or it is not kept any more."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Empty means all; decided at or after `since` and before `before`."""

    outcomes: Sequence[Outcome] = ()
    kinds: Sequence[FireKind] = ()
    since: datetime | None = None
    before: datetime | None = None


async def page(tx: Transaction, trigger_id: int, wanted: Wanted, *, limit: int, token: str = "") -> Page[Entry]:
    """Raises InvalidArgument for a token of another list."""
    args = Arguments()
    query = ListQuery(limit=limit, token=token, filters=tuple(_filters(wanted)))
    found = await fetch_page(tx, _LISTING, query, scope=[f"f.trigger_id = {args.add(trigger_id)}"], args=args)
    return Page([_entry(row) for row in found.items], found.next_token)


def _filters(wanted: Wanted) -> list[Filter]:
    filters: list[Filter] = []
    if wanted.outcomes:
        filters.append(Filter("outcome", Function.VALUE_IN, tuple(wanted.outcomes)))
    if wanted.kinds:
        filters.append(Filter("kind", Function.VALUE_IN, tuple(wanted.kinds)))
    if wanted.since:
        filters.append(Filter("decided_at", Function.GREATER_THAN_OR_EQUAL, (str(to_micros(wanted.since)),)))
    if wanted.before:
        filters.append(Filter("decided_at", Function.LESS_THAN, (str(to_micros(wanted.before)),)))
    return filters


def _entry(row: Row) -> Entry:
    fire = fires.fire_of(row)
    return Entry(
        fire=fire,
        decided_at=from_micros(row["decided_at"]),
        run=None if fire.run_name is None else RunId(row["project"], row["domain"], fire.run_name),
        phase=None if row["phase"] is None else Phase(row["phase"]),
    )
