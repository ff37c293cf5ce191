"""How many statements an operation takes: for tests that a cost does not grow with what it is about."""

from typing import Any

from wingbeat.store.database import Transaction


class Counting:
    """A transaction that counts its statements."""

    def __init__(self, tx: Transaction) -> None:
        self._tx: Any = tx
        self.statements = 0

    def __getattr__(self, name: str) -> Any:
        if name in ("fetch", "fetchrow", "execute", "insert", "update"):
            self.statements += 1
        return getattr(self._tx, name)
