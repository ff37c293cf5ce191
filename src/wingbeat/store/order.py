"""The order of a list: its terms, what lies behind a row, and the tokens that remember that row."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

from wingbeat.core.listing import Sort
from wingbeat.errors import InvalidArgument
from wingbeat.store.database import Row, Value
from wingbeat.store.filters import Arguments, Columns, Kind, storable

MAX_TOKEN_LENGTH = 8192


@dataclass(frozen=True, slots=True)
class Term:
    """An expression of the order that is never NULL."""

    name: str
    sql: str
    kind: Kind
    ascending: bool

    @property
    def direction(self) -> str:
        return "ASC" if self.ascending else "DESC"


_ZERO = {Kind.TEXT: "''", Kind.INTEGER: "0", Kind.MOMENT: "0", Kind.FLAG: "FALSE"}


def terms_of(columns: Columns, sort: Sequence[Sort], key: Sequence[str]) -> list[Term]:
    """`sort`, and `key` to tell apart what is equal. What is not set counts as greater than anything that is."""
    # The key goes on in the last direction: a long run of one direction is what an index serves.
    wanted = [*sort, *(Sort(field, ascending=sort[-1].ascending) for field in key)]
    fields = {each.field: each for each in reversed(wanted)}
    terms: list[Term] = []
    for each in dict.fromkeys(each.field for each in wanted):
        column, ascending = columns[each], fields[each].ascending
        sql = f"({column.sql})"
        if column.nullable:
            unset = f"CASE WHEN {sql} IS NULL THEN 1 ELSE 0 END"
            terms.append(Term(f"{each}?", unset, Kind.INTEGER, ascending))
            sql = f"coalesce({sql}, {_ZERO[column.kind]})"
        terms.append(Term(each, sql, column.kind, ascending))
    return terms


def behind(terms: Sequence[Term], values: Sequence[Value], args: Arguments) -> str:
    """The condition for rows behind the row with `values`; runs of one direction compare as one row value."""
    condition = ""
    runs = groupby(zip(terms, values, strict=True), key=lambda pair: pair[0].ascending)
    for ascending, pairs in reversed([(ascending, list(run)) for ascending, run in runs]):
        left = f"({', '.join(term.sql for term, _ in pairs)})"
        right = f"({', '.join(args.add(value) for _, value in pairs)})"
        farther = f"{left} {'>' if ascending else '<'} {right}"
        condition = f"({farther} OR ({left} = {right} AND {condition}))" if condition else farther
    return condition


def _order_name(terms: Sequence[Term]) -> str:
    return ",".join(f"{'+' if term.ascending else '-'}{term.name}" for term in terms)


def write_token(row: Row, terms: Sequence[Term]) -> str:
    values = [row[f"sort_key_{number}"] for number in range(len(terms))]
    text = json.dumps([_order_name(terms), *values], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_token(token: str, terms: Sequence[Term]) -> list[Value]:
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


def _value(value: Any, term: Term, token: str) -> Value:
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
