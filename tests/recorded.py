"""A database that remembers what it was asked, and how it would go about each statement."""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from wingbeat.store.changes import Changes
from wingbeat.store.database import Argument, Body, Database, Row, Transaction, Value

T = TypeVar("T")


class Recorded:
    """Stands before `database`; `statements` are all it was asked, with the values it was first asked with."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.shared = database.shared
        self.statements: dict[str, Sequence[Argument]] = {}

    @property
    def changes(self) -> Changes:
        return self._database.changes

    async def read(self, body: Body[T]) -> T:
        return await self._database.read(lambda tx: body(_Recording(tx, self.statements)))

    async def write(self, body: Body[T]) -> T:
        return await self._database.write(lambda tx: body(_Recording(tx, self.statements)))

    async def close(self) -> None: ...

    async def scans(self, tables: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Of each statement that reads one of `tables` from one end to the other: how."""

        async def body(tx: Transaction) -> dict[str, Sequence[str]]:
            scan = _postgresql if self.shared else _sqlite
            found = {sql: await scan(tx, sql, args, tables) for sql, args in self.statements.items()}
            return {sql: steps for sql, steps in found.items() if steps}

        return await self._database.write(body)


class _Recording:
    def __init__(self, tx: Transaction, statements: dict[str, Sequence[Argument]]) -> None:
        self._tx = tx
        self._statements = statements
        self.now, self.settled = tx.now, tx.settled
        self.for_update, self.for_share, self.skip_locked = tx.for_update, tx.for_share, tx.skip_locked

    async def fetch(self, sql: str, *args: Argument) -> Sequence[Row]:
        self._statements.setdefault(sql, args)
        return await self._tx.fetch(sql, *args)

    async def fetchrow(self, sql: str, *args: Value) -> Row | None:
        self._statements.setdefault(sql, args)
        return await self._tx.fetchrow(sql, *args)

    async def execute(self, sql: str, *args: Value) -> int:
        self._statements.setdefault(sql, args)
        return await self._tx.execute(sql, *args)

    async def insert(self, table: str, columns: Collection[str], rows: Sequence[Sequence[Value]]) -> None:
        await self._tx.insert(table, columns, rows)

    async def update(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        if rows:
            self._statements.setdefault(sql, rows[0])
        await self._tx.update(sql, rows)

    def changed(self, *topics: str) -> None:
        self._tx.changed(*topics)


async def _sqlite(tx: Transaction, sql: str, args: Sequence[Argument], tables: Sequence[str]) -> list[str]:
    """Also through an index, from one end to the other, unless a limit ends it."""
    steps = [row["detail"] for row in await tx.fetch(f"EXPLAIN QUERY PLAN {sql}", *args)]
    names = "|".join(tables)
    made = {step.split()[1] for step in steps if step.startswith(("CO-ROUTINE", "MATERIALIZE"))}
    known = {*tables, *re.findall(rf"\b(?:{names})\s+(?:AS\s+)?(\w+)", sql)} - made
    scans = [step for step in steps if (match := re.match(r"SCAN (\w+)", step)) and match[1] in known]
    return [step for step in scans if "INDEX" not in step or " LIMIT " not in sql]


async def _postgresql(tx: Transaction, sql: str, args: Sequence[Argument], tables: Sequence[str]) -> list[str]:
    (row,) = await tx.fetch(f"EXPLAIN (FORMAT JSON) {sql}", *args)
    plan = json.loads(row["QUERY PLAN"])[0]["Plan"]
    return [
        f"{node['Node Type']} on {node['Relation Name']} {node.get('Index Name', '')}"
        for node, limited in _nodes(plan, limited=False)
        if node.get("Relation Name") in tables
        and (
            node["Node Type"] == "Seq Scan"
            or (node["Node Type"] in ("Index Scan", "Index Only Scan") and not limited and "Index Cond" not in node)
        )
    ]


def _nodes(node: Mapping[str, Any], *, limited: bool) -> Iterator[tuple[Mapping[str, Any], bool]]:
    yield node, limited
    for below in node.get("Plans", ()):
        yield from _nodes(below, limited=limited or node["Node Type"] == "Limit")
