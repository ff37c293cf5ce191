"""Lists, page by page: a total order, and tokens that remember the last row of a page and not how many came before.

So rows that come and go between two pages make no other row appear twice or be left out.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

from wingbeat.core.listing import ListQuery, Page, Sort
from wingbeat.errors import InvalidArgument, ResourceExhausted
from wingbeat.store.database import Row, Transaction, Value
from wingbeat.store.filters import Arguments, Columns, Kind, conditions, storable

MAX_TOKEN_LENGTH = 8192


@dataclass(frozen=True, slots=True)
class Listing:
    """One kind of list. `source` is what follows FROM and ends in its WHERE clause, where `{where}` is filled in."""

    select: str
    source: str
    columns: Columns
    key: tuple[str, ...]
    """Fields that together name a row: the end of every order."""
    default_sort: tuple[Sort, ...]


async def fetch_page(
    tx: Transaction, listing: Listing, query: ListQuery, *, scope: Sequence[str] = (), args: Arguments | None = None
) -> Page[Row]:
    """The rows that match `scope` and the filters; `args` holds the parameters that `scope` speaks of.

    Raises InvalidArgument: an unknown field, a value that is none, a token of another list or another order.
    """
    args = args or Arguments()
    source = matching(listing, query, scope=scope, args=args)
    terms = _terms(listing, query.sort or listing.default_sort)
    after = f" AND {_after(terms, _read_token(query.token, terms), args)}" if query.token else ""
    keys = ", ".join(f"{term.sql} AS sort_key_{number}" for number, term in enumerate(terms))
    order = ", ".join(f"{term.sql} {term.direction}" for term in terms)
    sql = f"SELECT {listing.select}, {keys} FROM {source}{after} ORDER BY {order} LIMIT {args.add(query.limit + 1)}"
    try:
        rows = await tx.fetch(sql, *args.values)
    except ResourceExhausted as error:
        raise ResourceExhausted(_narrowable(query, str(error))) from error
    more = len(rows) > query.limit
    return Page(rows[: query.limit], _write_token(rows[query.limit - 1], terms) if more else "")


def _narrowable(query: ListQuery, problem: str) -> str:
    filters = ", ".join(f"{each.field} {each.function}" for each in query.filters) or "none"
    order = ", ".join(each.field for each in query.sort) or "the list's own"
    return f"{problem} of this list, in a smaller scope or with other filters or another order ({filters}; {order})"


def matching(listing: Listing, query: ListQuery, *, scope: Sequence[str], args: Arguments) -> str:
    """The listing's source, narrowed to the scope and the filters."""
    narrowed = [*scope, *conditions(query.filters, listing.columns, args)]
    return listing.source.replace("{where}", " AND ".join(narrowed) or "TRUE")


@dataclass(frozen=True, slots=True)
class _Term:
    """An expression of the order that is never NULL."""

    name: str
    sql: str
    kind: Kind
    ascending: bool

    @property
    def direction(self) -> str:
        return "ASC" if self.ascending else "DESC"


_ZERO = {Kind.TEXT: "''", Kind.INTEGER: "0", Kind.MOMENT: "0", Kind.FLAG: "FALSE"}


def _terms(listing: Listing, sort: Sequence[Sort]) -> list[_Term]:
    """What is not set counts as greater than anything that is, as PostgreSQL has it."""
    # The key follows the first direction: one direction throughout lets an index serve the whole order.
    wanted = [*sort, *(Sort(field, ascending=sort[0].ascending) for field in listing.key)]
    fields = {each.field: each for each in reversed(wanted)}
    terms: list[_Term] = []
    for each in dict.fromkeys(each.field for each in wanted):
        column, ascending = listing.columns[each], fields[each].ascending
        sql = f"({column.sql})"
        if column.nullable:
            unset = f"CASE WHEN {sql} IS NULL THEN 1 ELSE 0 END"
            terms.append(_Term(f"{each}?", unset, Kind.INTEGER, ascending))
            sql = f"coalesce({sql}, {_ZERO[column.kind]})"
        terms.append(_Term(each, sql, column.kind, ascending))
    return terms


def _after(terms: Sequence[_Term], values: Sequence[Value], args: Arguments) -> str:
    """The condition for rows behind the row with `values`; runs of one direction compare as one row value."""
    condition = ""
    runs = groupby(zip(terms, values, strict=True), key=lambda pair: pair[0].ascending)
    for ascending, pairs in reversed([(ascending, list(run)) for ascending, run in runs]):
        left = f"({', '.join(term.sql for term, _ in pairs)})"
        right = f"({', '.join(args.add(value) for _, value in pairs)})"
        behind = f"{left} {'>' if ascending else '<'} {right}"
        condition = f"({behind} OR ({left} = {right} AND {condition}))" if condition else behind
    return condition


def _order_name(terms: Sequence[_Term]) -> str:
    return ",".join(f"{'+' if term.ascending else '-'}{term.name}" for term in terms)


def _write_token(row: Row, terms: Sequence[_Term]) -> str:
    values = [row[f"sort_key_{number}"] for number in range(len(terms))]
    text = json.dumps([_order_name(terms), *values], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_token(token: str, terms: Sequence[_Term]) -> list[Value]:
    content = _content(token)
    if not content or content[0] != _order_name(terms) or len(content) != len(terms) + 1:
        raise InvalidArgument(f"token {token!r} belongs to another list or another order: start again without a token")
    return [_value(value, term, token) for value, term in zip(content[1:], terms, strict=True)]


def _content(token: str) -> list[Any]:
    if len(token) > MAX_TOKEN_LENGTH:
        raise _not_ours(token)
    try:
        content = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars="-_", validate=True))
    except (ValueError, RecursionError):
        raise _not_ours(token) from None
    return cast("list[Any]", content) if isinstance(content, list) else []


def _value(value: Any, term: _Term, token: str) -> Value:
    match term.kind:
        case Kind.TEXT if isinstance(value, str) and storable(value):
            return value
        case Kind.FLAG if value in (True, False):
            return bool(value)
        case Kind.INTEGER | Kind.MOMENT if type(value) is int and -(2**63) <= value < 2**63:
            return value
        case _:
            raise _not_ours(token)


def _not_ours(token: str) -> InvalidArgument:
    return InvalidArgument(f"token {token[:40]!r} was not given out by this server: start again without a token")
