"""What the executor has said of every attempt it knows, kept for the loops that compare it with the database."""

from collections.abc import Mapping

from wingbeat.core.launch import ExecutionPhase, Status
from wingbeat.executors.base import Executor, Synced
from wingbeat.store.changes import Changes

EXECUTOR = "executor"
"""The topic that wakes a node's own loops when its executor has said something."""
RECONNECT_SECONDS = 0.5


class Statuses:
    def __init__(self, executor: Executor, changes: Changes) -> None:
        self._executor = executor
        self._changes = changes
        self._latest: dict[str, Status] = {}
        self.synced = False
        """Whether it is complete: then a key that is not here is one the executor does not know."""
        self.replays = 0
        """How often the executor has said everything again."""
        self.asked: frozenset[str] = frozenset()
        """Keys whose launch is being asked for: one that the executor forgot now would run once more."""

    async def follow(self) -> float:
        """Listen until the connection ends; the seconds to wait before the next one."""
        replay: dict[str, Status] | None = {}
        try:
            async for said in self._executor.watch():
                match said:
                    case Synced():
                        self._latest = {} if replay is None else replay
                        replay, self.synced = None, True
                        self.replays += 1
                    case Status():
                        known = self._latest if replay is None else replay
                        known[said.key] = said
                if self.synced:
                    self._changes.publish([EXECUTOR])
        finally:
            self.synced = False
        return RECONNECT_SECONDS

    def snapshot(self) -> Mapping[str, Status]:
        return dict(self._latest)

    def unfinished(self) -> list[str]:
        return [key for key, status in self._latest.items() if status.phase is not ExecutionPhase.EXITED]

    def drop(self, key: str) -> None:
        """The executor has forgotten it."""
        self._latest.pop(key, None)
