"""What the tests of triggers share: a namespace, a runner that notes what it is asked to run, and a clock."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from wingbeat.compose.firing.payloads import Codecs
from wingbeat.compose.firing.runs import Start
from wingbeat.compose.namespace import Namespace
from wingbeat.compose.trigger import TriggerManager, TriggerStore
from wingbeat.testing import FakeClock

T0 = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@dataclass
class Ended:
    run_id: str
    status: str = "completed"
    error: str | None = None


@dataclass
class Runs:
    """Each run is noted, and ends as `end` says."""

    end: Callable[[Start], Awaitable[Ended]] | None = None
    started: list[Start] = field(default_factory=list[Start])
    resumed: list[Start] = field(default_factory=list[Start])

    async def run(self, start: Start) -> Ended:
        self.started.append(start)
        return Ended(start.run_id) if self.end is None else await self.end(start)

    async def resume(self, start: Start) -> Ended:
        self.resumed.append(start)
        return Ended(start.run_id)

    def has(self, dag_nsref: str) -> bool:
        return True

    def check(self, dag_nsref: str, inputs: Mapping[str, Any], *, complete: bool) -> None:
        if "nobody" in inputs:
            raise ValueError("nothing takes nobody")

    def codecs(self, dag_nsref: str) -> Codecs:
        return {}

    @property
    def slots(self) -> list[datetime | None]:
        return [start.scheduled_for for start in self.started]


@dataclass
class World:
    path: Path
    clock: FakeClock = field(default_factory=lambda: FakeClock(T0))
    runs: Runs = field(default_factory=Runs)
    namespace: Namespace = field(default_factory=Namespace)

    def __post_init__(self) -> None:
        self.store = TriggerStore(self.path, clock=self.clock)
        self.manager = self.another()

    def another(self, **options: Any) -> TriggerManager:
        return TriggerManager(self.namespace, self.store, runner=self.runs, **options)

    def active(self, schedule: str | None = "* * * * *", *, name: str = "t", **options: Any) -> None:
        kind = "poll" if schedule else "push"
        self.namespace.register_trigger(name, "a:dag", kind, schedule, **options)
        self.manager.activate(name)

    def events(self, name: str = "t", **wanted: Any) -> list[dict[str, Any]]:
        return self.store.get_events(name, **wanted)

    def statuses(self, name: str = "t") -> list[str]:
        return [event["status"] for event in reversed(self.events(name))]
