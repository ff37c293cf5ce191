"""Lists, page by page: a total order, and tokens that remember the last row of a page and not how many came before.

So rows that come and go between two pages make no other row appear twice or be left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wingbeat.core.listing import ListQuery, Page, Sort
from wingbeat.errors import ResourceExhausted
from wingbeat.store.database import Row, Transaction
from wingbeat.store.filters import Arguments, Columns, admits, conditions
from wingbeat.store.order import Term, behind, read_token, terms_of, write_token


@dataclass(frozen=True, slots=True)
class Split:
    """A field of few values that stands in front of `order` in the indexes.

    So rows in that order, or first by the field and then in that order, are a range of an index for each value.
    """

    field: str
    values: Sequence[int]
    order: tuple[str, ...]
    rows: str
    """Where a row is found by the listing's key: what follows FROM, with a WHERE clause."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One kind of list. `source` is what follows FROM and ends in its WHERE clause, where `{where}` is filled in."""

    select: str
    source: str
    columns: Columns
    key: tuple[str, ...]
    """Fields that together name a row: the end of every order."""
    default_sort: tuple[Sort, ...]
    split: Split | None = None


async def fetch_page(
    tx: Transaction, listing: Listing, query: ListQuery, *, scope: Sequence[str] = (), args: Arguments | None = None
) -> Page[Row]:
    """The rows that match `scope` and the filters; `args` holds the parameters that `scope` speaks of.

    Raises InvalidArgument: an unknown field, a value that is none, a token of another list or another order.
    Raises ResourceExhausted: the database has too much to go through.
    """
    args = args or Arguments()
    source = matching(listing, query, scope=scope, args=args)
    terms = terms_of(listing.columns, query.sort or listing.default_sort, listing.key)
    last = read_token(query.token, terms) if query.token else None
    ranges = _ranges(listing, query, terms, last, args)
    if not ranges:
        return Page([], "")
    sql = _statement(listing, source, terms, ranges, query.limit + 1)
    try:
        rows = await tx.fetch(sql, *args.values)
    except ResourceExhausted as error:
        raise ResourceExhausted(_narrowable(query, str(error))) from error
    more = len(rows) > query.limit
    return Page(rows[: query.limit], write_token(rows[query.limit - 1], terms) if more else "")


def matching(listing: Listing, query: ListQuery, *, scope: Sequence[str], args: Arguments) -> str:
    """The listing's source, narrowed to the scope and the filters."""
    narrowed = [*scope, *conditions(query.filters, listing.columns, args)]
    return listing.source.replace("{where}", " AND ".join(narrowed) or "TRUE")


def _ranges(
    listing: Listing, query: ListQuery, terms: Sequence[Term], last: Sequence[Any] | None, args: Arguments
) -> list[str]:
    """Conditions that share out the rows behind `last`: one for each value of the split that may have some."""
    split = listing.split
    names = [term.name for term in terms]
    if split is None or not _serves(split, names):
        return [behind(terms, last, args) if last else "TRUE"]
    values = [value for value in split.values if admits(query.filters, split.field, value)]
    first = names[0] == split.field
    if last is None or not first:
        rest = behind(terms, last, args) if last else "TRUE"
        return [f"({listing.columns[split.field].sql}) = {value} AND {rest}" for value in values]
    return _ranges_from(terms, last, values, args)


def _serves(split: Split, names: Sequence[str]) -> bool:
    start = 1 if names[0] == split.field else 0
    return tuple(names[start : start + len(split.order)]) == split.order


def _ranges_from(terms: Sequence[Term], last: Sequence[Any], values: Sequence[int], args: Arguments) -> list[str]:
    """The first term is the split's: of its value in `last` there is a rest, of those before it nothing."""
    found: list[str] = []
    for value in values:
        if value == last[0]:
            found.append(f"{terms[0].sql} = {value} AND {behind(terms[1:], last[1:], args)}")
        elif (value > last[0]) is terms[0].ascending:
            found.append(f"{terms[0].sql} = {value}")
    return found


def _statement(listing: Listing, source: str, terms: Sequence[Term], ranges: Sequence[str], limit: int) -> str:
    keys = ", ".join(f"{term.sql} AS sort_key_{number}" for number, term in enumerate(terms))
    order = ", ".join(f"{term.sql} {term.direction}" for term in terms)
    if listing.split is None or len(ranges) == 1:
        return f"SELECT {listing.select}, {keys} FROM {source} AND {ranges[0]} ORDER BY {order} LIMIT {limit}"
    parts = [f"SELECT {keys} FROM {source} AND {each} ORDER BY {order} LIMIT {limit}" for each in ranges]
    union = " UNION ALL ".join(f"SELECT * FROM ({part}) part_{number}" for number, part in enumerate(parts))
    merged = ", ".join(f"sort_key_{number} {term.direction}" for number, term in enumerate(terms))
    page = f"SELECT * FROM ({union}) parts ORDER BY {merged} LIMIT {limit}"
    same = " AND ".join(f"{term.sql} = sort_key_{number}" for number, term in enumerate(terms))
    return (
        f"SELECT {listing.select}, page.* FROM ({page}) page CROSS JOIN {listing.split.rows} AND {same}"
        f" ORDER BY {merged}"
    )


def _narrowable(query: ListQuery, problem: str) -> str:
    filters = ", ".join(f"{each.field} {each.function}" for each in query.filters) or "none"
    order = ", ".join(each.field for each in query.sort) or "the list's own"
    return f"{problem} of this list, in a smaller scope or with other filters or another order ({filters}; {order})"
