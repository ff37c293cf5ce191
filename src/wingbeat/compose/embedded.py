"""The short form: one object and one file for tasks, their triggers, and what becomes of them.

    app = Embedded("app.db")

    @app.on("*/5 * * * *", tz="Europe/Paris")
    def refresh() -> int: ...

    async with app: ...

Its one rule: it makes nothing that `namespace`, `manager`, `store` and `provenance` would not, and these are all there.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypedDict, TypeVar, Unpack, overload

from wingbeat.clock import Clock, system_clock
from wingbeat.compose.callables import name_of
from wingbeat.compose.dag_nodes import source_inputs
from wingbeat.compose.dag_provenance import DagProvenance
from wingbeat.compose.dag_runner import DagRunner, DagRunResult
from wingbeat.compose.refs import GlobalRef
from wingbeat.compose.registration import by_free_names
from wingbeat.compose.registry import Namespace
from wingbeat.compose.trigger_defs import PollFunction, Seconds, define
from wingbeat.compose.trigger_manager import TriggerManager
from wingbeat.compose.trigger_store import TriggerStore

C = TypeVar("C", bound=Callable[..., Any])


class TriggerOptions(TypedDict, total=False):
    """What `Namespace.register_trigger` takes besides schedule and zone."""

    poll_fn: PollFunction | GlobalRef | str | None
    payload: Mapping[str, Any] | None
    misfire: str
    grace: Seconds | None
    overlap: str
    max_instances: int
    retries: int
    timeout: Seconds | None
    jitter: Seconds | None
    start: datetime | None
    end: datetime | None
    inputs: Mapping[str, Any] | None


class Embedded:
    """Tasks and triggers of a program. `with` and `async with` activate what is new and fire what is due."""

    def __init__(self, path: Path | str, *, clock: Clock = system_clock) -> None:
        """Triggers and runs are kept in the file. Raises StartError when it cannot be used."""
        self.namespace = Namespace()
        self.store = TriggerStore(path, clock=clock)
        self.provenance = DagProvenance(Path(path), clock=clock)
        self.manager = TriggerManager(self.namespace, self.store, self.provenance)
        self._places: dict[Callable[..., Any], str] = {}

    @overload
    def task(self, c: C, /) -> C: ...
    @overload
    def task(self, /, *, name: str | None = None, tags: Iterable[str] | None = None) -> Callable[[C], C]: ...
    def task(
        self, c: Callable[..., Any] | None = None, /, *, name: str | None = None, tags: Iterable[str] | None = None
    ) -> Any:
        """A decorator: the function, or the factory of a DAG, can be run by its own name, or the one that is given.

        Raises what `Namespace.register` raises.
        """

        def register(c: C) -> C:
            place = name or name_of(c)
            placed: dict[Callable[..., Any], str] = {c: place}
            self.namespace.register(c, place, tags=tags)
            self._places |= placed
            return c

        return register if c is None else register(c)

    def on(
        self,
        schedule: str | None = None,
        *,
        name: str | None = None,
        tz: str = "UTC",
        **options: Unpack[TriggerOptions],
    ) -> Callable[[C], C]:
        """A decorator: run it by a schedule, or without one when `fire` says so. It becomes a task if it is none.

        The trigger has the name of the task, or the one that is given. Raises what `register_trigger` and `register`
        raise, and leaves nothing behind then.
        """

        def trigger(c: C) -> C:
            place = self._places.get(c) or name_of(c)
            kind = "push" if schedule is None else "poll"
            if c not in self._places:
                wanted = define(name or place, place, kind, schedule=schedule, timezone=tz, **options)
                by_free_names([wanted], self.namespace.definitions)
                self.task(c)
            self.namespace.register_trigger(name or place, place, kind, schedule, timezone=tz, **options)
            return c

        return trigger

    async def run(self, name: str, /, **inputs: Any) -> DagRunResult:
        """Run a task now, recorded. Raises KeyError when there is none, ValueError for inputs that nothing takes."""
        dag = self.namespace.get_as_dag(name)
        return await DagRunner(dag, self.provenance).run(source_inputs(dag, inputs), dag_nsref=name)

    async def fire(self, name: str, /, **payload: Any) -> DagRunResult:
        """Fire an active trigger now. Raises what `TriggerManager.fire` raises."""
        return await self.manager.fire(name, payload or None)

    def start(self) -> None:
        """Activate all triggers but those that somebody deactivated, and fire what is due from now on."""
        self.manager.activate_configured()
        self.manager.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.manager.__exit__(*error)

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.manager.aclose()
