"""How a database would go about statements: for tests that a statement asks an index."""

from collections.abc import Sequence
from typing import Any

from wingbeat.store.database import Row, Transaction, Value


class Explained:
    """A transaction that also asks for the plan of every statement; `sqlite` is its dialect."""

    def __init__(self, tx: Transaction, *, sqlite: bool) -> None:
        self._tx: Any = tx
        self._sqlite = sqlite
        self.plans: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    async def fetch(self, sql: str, *args: Value) -> Sequence[Row]:
        await self._explain(sql, *args)
        return await self._tx.fetch(sql, *args)

    async def fetchrow(self, sql: str, *args: Value) -> Row | None:
        await self._explain(sql, *args)
        return await self._tx.fetchrow(sql, *args)

    async def execute(self, sql: str, *args: Value) -> int:
        await self._explain(sql, *args)
        return await self._tx.execute(sql, *args)

    async def _explain(self, sql: str, *args: Value) -> None:
        prefix, column = ("EXPLAIN QUERY PLAN", "detail") if self._sqlite else ("EXPLAIN", "QUERY PLAN")
        rows = await self._tx.fetch(f"{prefix} {sql}", *args)
        self.plans.append("\n".join(row[column] for row in rows))

    def scanned(self, *tables: str) -> list[str]:
        """The steps of all plans that read one of these tables from one end to the other."""
        steps = [step.strip() for plan in self.plans for step in plan.splitlines()]
        return [
            step for step in steps for table in tables if step == f"SCAN {table}" or f"Seq Scan on {table} " in step
        ]
