"""Triggers of a namespace: activated, fired by hand or by their schedules, looked into, repeated for the past.

Its one rule: any number of managers, in threads and processes that share the file, fire each slot once.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Self
from uuid import uuid4

from wingbeat.clock import Clock
from wingbeat.compose.arguments import check_moment
from wingbeat.compose.dag_provenance import DagProvenance, NullProvenance
from wingbeat.compose.firing import activating, backfills
from wingbeat.compose.firing.answers import payload_problem
from wingbeat.compose.firing.claimants import Claimant
from wingbeat.compose.firing.code import Code
from wingbeat.compose.firing.fires import MANUAL, Fires
from wingbeat.compose.firing.keeping import Keeping
from wingbeat.compose.firing.leases import Leases
from wingbeat.compose.firing.payloads import check_storable, event_text
from wingbeat.compose.firing.runs import DagRuns, Runner, inputs_of
from wingbeat.compose.firing.scheduler import Scheduler
from wingbeat.compose.firing.schedules import firing_of
from wingbeat.compose.firing.stored_definitions import Definitions, encode, stored
from wingbeat.compose.initiators import run_initiator
from wingbeat.compose.registry import Namespace
from wingbeat.compose.trigger_defs import TriggerDef, TriggerKind
from wingbeat.compose.trigger_store import TriggerStore
from wingbeat.core.preview import Slot, upcoming
from wingbeat.errors import FailedPrecondition
from wingbeat.store.compose import activations, ticks
from wingbeat.store.compose.activations import Activation
from wingbeat.store.compose.ticks import Tick
from wingbeat.store.compose.transaction import Transaction

LEASE = timedelta(seconds=30)
_LOOKS_IN_VAIN = 1_000
_log = logging.getLogger("wingbeat.compose.trigger")


@dataclass(frozen=True, slots=True)
class TriggerActivationResult:
    """What `activate_configured` did, by the names of triggers."""

    activated: list[str]
    left_disabled: list[str]


class TriggerManager:
    def __init__(
        self,
        namespace: Namespace,
        store: TriggerStore,
        provenance: DagProvenance | NullProvenance | None = None,
        *,
        clock: Clock | None = None,
        lease: timedelta = LEASE,
        at_least_once: bool = False,
        runner: Runner | None = None,
    ) -> None:
        """Without a provenance nobody knows how far a run was when its process died: its fire is `lost`, or with
        `at_least_once` runs again. A fire whose process is gone is taken over after `lease`.
        """
        self.namespace = namespace
        self.store = store
        self.provenance = NullProvenance() if provenance is None else provenance
        self._clock = store.clock if clock is None else clock
        self._now: datetime | None = None
        by, runner = Claimant(lease), runner or DagRuns(namespace, self.provenance)
        self._stored = Definitions(namespace.definitions.get)
        self._code = Code(self._stored, runner.has, runner.codecs)
        self._fires = Fires(
            file=store.file,
            clock=self._time,
            by=by,
            leases=Leases(store.file, by, self._time),
            runner=runner,
            code=self._code,
            status_of=self._status_of,
            remembers=not isinstance(self.provenance, NullProvenance),
            at_least_once=at_least_once,
            nudge=self._nudge,
        )
        self._task: Keeping | None = None
        """The latest start."""
        self._going: list[Keeping] = []
        """All starts of which runs may go on."""
        self._starting = Lock()
        self._activated_here: set[str] = set()
        """Triggers that are stored as the code has them."""

    def activate(self, name: str) -> None:
        """Let a trigger fire, also one that was deactivated; once more changes nothing.

        Raises KeyError when the trigger, or what it is to run, is not in the namespace; ValueError for a DAG that is
        wrong, or a payload that nothing takes or that cannot be stored with its types.
        """
        definition = self.namespace.get_trigger(name).definition
        self._check(definition)
        self.store.activate(definition)
        self._activated_here.add(name)
        self._nudge()

    def activate_configured(self) -> TriggerActivationResult:
        """Activate all triggers of the namespace but those that somebody deactivated: for the start of a program."""
        definitions = [trigger.definition for trigger in self.namespace.triggers()]
        for definition in definitions:
            self._check(definition)
        active = self.store.activate_all(definitions, keep_disabled=True)
        activated = [each.name for each, is_active in zip(definitions, active, strict=True) if is_active]
        left = [each.name for each, is_active in zip(definitions, active, strict=True) if not is_active]
        self._activated_here.update(activated)
        self._nudge()
        return TriggerActivationResult(activated=activated, left_disabled=left)

    def deactivate(self, name: str) -> None:
        """Its slots do not fire from now on; runs that have begun go on."""
        self.store.deactivate(name)

    def pause(self, name: str) -> None:
        """Like `deactivate`. Raises KeyError for a trigger that was never activated."""
        self._known(name)
        self.store.deactivate(name)

    def resume(self, name: str) -> None:
        """Activate it as it was. What came due meanwhile does not fire. Raises KeyError."""
        if not self.store.resume(name):
            raise _never_activated(name)
        self._nudge()

    async def fire(self, name: str, payload: Mapping[str, Any] | None = None) -> Any:
        """Run it now, and return the result of the run.

        Raises ValueError when it is not active or nothing takes the payload, KeyError when what it runs is gone, and
        TimeoutError after the trigger's time-out. A caller that is cancelled has cancelled the run.
        """
        if payload is not None and (problem := payload_problem(payload)) is not None:
            raise ValueError(f"trigger {name!r}: its payload {problem}")
        now, by, initiator = self._time(), self._fires.by, run_initiator.get()
        claimed: list[Tick] = []

        def claim(tx: Transaction) -> tuple[Tick, Activation, Mapping[str, Any]]:
            activation = activations.get(tx, name)
            if activation is None or not activation.active:
                status = activation.status if activation else "not found"
                raise ValueError(f"Trigger '{name}' is not active (status: {status})")
            inputs = inputs_of(self._stored(activation), payload, None)
            self._fires.runner.check(activation.dag_nsref, inputs, complete=True)
            text = event_text(inputs, self._code.codecs(activation.dag_nsref), slot=None) if inputs else None
            tick = _manual(activation, text, initiator)
            ticks.claim(tx, tick, now=now, owner=by.owner, lease_until=by.until(now))
            claimed[:] = [tick]
            return tick, activation, inputs

        try:
            tick, activation, inputs = await self._fires.claim(claim)
        except asyncio.CancelledError:
            await asyncio.shield(self._withdraw(claimed))
            raise
        flushed = self.store.file.flush()
        self._fires.inputs[tick.event_id] = inputs
        try:
            outcome = await self._fires.carry_out(tick, activation=activation)
        finally:
            await flushed
        if outcome is None:
            raise TimeoutError(f"trigger {name!r}: its run had not ended after {self._stored(activation).timeout}")
        return outcome

    async def _withdraw(self, claimed: Sequence[Tick]) -> None:
        """What a caller claimed who did not wait for it. Writes are in the order they are asked for."""
        await self.store.file.flush()
        for tick in claimed:
            await self._fires.cancel(tick)

    def start(self) -> None:
        """Fire what is due from now on: in the running event loop, or without one in a thread of its own.

        Once more changes nothing, unless the event loop of the time before has ended since.
        """
        with self._starting:
            if self._task is None or not self._task.going:
                self._task = Keeping(Scheduler(self._fires, self._time), self._keep_going)
                self._going = [each for each in self._going if not each.done()] + [self._task]

    def stop(self) -> None:
        """Fire nothing more; runs that have begun go on. Returns at once."""
        with self._starting:
            if self._task is not None:
                self._task.stop()

    async def aclose(self, drain: float | None = 30) -> None:
        """Stop, and wait so many seconds for runs that have begun; those that take longer are given to whoever comes
        next.
        """
        self.stop()
        going, self._going = self._going, []
        for keeping in going:
            await keeping.ended(drain)

    async def tick(self, now: datetime | None = None) -> int:
        """Fire what is due at `now`, wait for the runs, and for what their ends make due; returns how many runs
        it began.

        For tests, with `FakeClock` or a moment of their own, instead of `start`. Raises InvalidArgument for a moment
        without a time zone, FailedPrecondition when something stays due that cannot be begun.
        """
        if now is not None:
            check_moment("now", now)
        scheduler, before = Scheduler(self._fires, self._time), self._fires.runs
        self._now, in_vain = now, 0
        try:
            await scheduler.rewind()
            while in_vain < _LOOKS_IN_VAIN:
                claimed = await scheduler.look(self._time())
                await scheduler.drain(None)
                more = scheduler.take_nudge() or _is_due(claimed.next_look, self._time())
                if claimed.begun or claimed.taken:
                    in_vain = 0
                elif more:
                    in_vain += 1
                else:
                    return self._fires.runs - before
        finally:
            self._now = None
        raise FailedPrecondition(f"something stays due at {self._time()} that nothing began in {in_vain} looks")

    def preview(self, name: str, n: int = 10) -> tuple[Slot, ...]:
        """Its next slots, with the wall clock of its zone and a note where that changes. Raises KeyError."""
        activation = self.store.file.read(lambda tx: activations.get(tx, name))
        now = self._time()
        if activation is None:
            definition = self.namespace.get_trigger(name).definition
            activation = activating.first(definition, encode(definition), now)
        return upcoming(firing_of(activation, stored(activation)), now, n)

    def backfill(self, name: str, begin: datetime, end: datetime) -> Sequence[datetime]:
        """Run it for the slots in [begin, end) that have not fired, `max_instances` at a time; returns them.

        `start`, or `tick`, carries them out. Raises KeyError, InvalidArgument and FailedPrecondition.
        """
        check_moment("begin", begin)
        check_moment("end", end)
        activation, initiator = self._known(name), run_initiator.get()
        definition = stored(activation)
        slots = self.store.file.write(
            lambda tx: backfills.plan(tx, activation, definition, begin=begin, end=end, by=initiator)
        )
        self._nudge()
        return slots

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        going, self._going = self._going, []
        for keeping in going:
            keeping.join()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _time(self) -> datetime:
        return self._now or self._clock()

    def _check(self, definition: TriggerDef) -> None:
        """Inputs that are missing may still come from a `poll_fn`, or from whoever calls `fire`."""
        check, inputs = self._fires.runner.check, inputs_of(definition, None, None)
        check(definition.dag_nsref, inputs, complete=False)
        for fixed in filter(None, (definition.payload, definition.inputs)):
            check_storable(definition.name, fixed, self._code.codecs(definition.dag_nsref))
        self._code.require(definition)
        if definition.trigger_type == TriggerKind.POLL and definition.poll_fn is None:
            try:
                check(definition.dag_nsref, inputs, complete=True)
            except ValueError as error:
                _log.warning("trigger %r will fail by its schedule, without a payload: %s", definition.name, error)

    def _known(self, name: str) -> Activation:
        found = self.store.file.read(lambda tx: activations.get(tx, name))
        if found is None:
            raise _never_activated(name)
        return found

    async def _status_of(self, run_id: str) -> str | None:
        found: dict[str, Any] | None = await self.provenance.aread(lambda history: history.get_run(run_id))
        return None if found is None else found["status"]

    def _nudge(self) -> None:
        if self._task is not None:
            self._task.nudge()

    async def _keep_going(self, scheduler: Scheduler) -> None:
        warning = asyncio.ensure_future(self.store.file.on_thread(self._warn_of_changes))
        await scheduler.keep_going()
        await asyncio.wait([warning])

    def _warn_of_changes(self) -> None:
        """Here nobody waits for it, however many triggers there are."""
        definitions = self.namespace.definitions
        if len(definitions) == len(self._activated_here):
            return
        for name in tuple(definitions):
            stored = None if name in self._activated_here else self.store.get_activation(name)
            if stored and stored["status"] == "active" and stored["config_json"] != encode(definitions[name]):
                _log.warning(
                    "trigger %r was changed in code since it was activated: it fires as before until activate(%r)",
                    name,
                    name,
                )


def _manual(activation: Activation, payload_json: str | None, initiator: str | None) -> Tick:
    return Tick(
        event_id=str(uuid4()),
        trigger_name=activation.name,
        kind=MANUAL,
        slot_key=None,
        run_id=str(uuid4()),
        payload_json=payload_json,
        scheduled_for=None,
        revision=activation.revision,
        attempt=1,
        status="running",
        initiated_by=initiator,
    )


def _never_activated(name: str) -> KeyError:
    return KeyError(f"Trigger {name!r} was never activated")


def _is_due(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and moment <= now
