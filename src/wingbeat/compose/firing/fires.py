"""Carrying out fires that are claimed: ask, run, and say in one transaction what became of it.

Its one rule: a fire is finished, tried again or given back, whatever is raised; what crashes keeps its lease until that
ends, and somebody takes it over.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from wingbeat.clock import Clock
from wingbeat.compose.exits import exit_error
from wingbeat.compose.firing import checks
from wingbeat.compose.firing.answers import Fire, PollContext, read
from wingbeat.compose.firing.checks import Check
from wingbeat.compose.firing.claimants import Claimant
from wingbeat.compose.firing.claims import Begun, run_id_of
from wingbeat.compose.firing.code import Code
from wingbeat.compose.firing.leases import Leases
from wingbeat.compose.firing.payloads import event_text, event_values
from wingbeat.compose.firing.polling import ask
from wingbeat.compose.firing.runs import Outcome, Runner, Start, inputs_of
from wingbeat.compose.firing.schedules import schedule_of
from wingbeat.compose.initiators import initiated_by
from wingbeat.compose.json_text import json_text
from wingbeat.compose.trigger_defs import Overlapping, TriggerDef
from wingbeat.core.retry import Backoff
from wingbeat.core.schedule import next_after
from wingbeat.errors import WingbeatError
from wingbeat.store.compose import activations, ticks
from wingbeat.store.compose.activations import Activation
from wingbeat.store.compose.connection import File
from wingbeat.store.compose.ticks import Tick
from wingbeat.store.compose.transaction import Transaction

T = TypeVar("T")

RETRY = Backoff(timedelta(seconds=1), factor=2.0, cap=timedelta(minutes=5))
MANUAL = "manual"
SCHEDULE = "schedule"
_SHORTEST_GAP = timedelta(seconds=1)
"""Between two slots."""
_OVER = frozenset({"completed", "failed", "paused"})
_LOST = "lost"
_log = logging.getLogger("wingbeat.compose.trigger")


@dataclass(slots=True)
class Fires:
    file: File
    clock: Clock
    by: Claimant
    leases: Leases
    runner: Runner
    code: Code
    status_of: Callable[[str], Awaitable[str | None]]
    """Of a run that may have begun elsewhere: None when nobody recorded it."""
    remembers: bool
    """Whether runs are recorded at all."""
    at_least_once: bool
    """Without records, whether a fire that was cut off runs again."""
    nudge: Callable[[], None]
    """Called when something that waits may begin."""
    inputs: dict[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """Of fires of this process, as Python has them; by event id."""
    runs: int = 0
    """How many were begun here, or gone on with."""

    def claim(self, body: Callable[[Transaction], T]) -> Awaitable[T]:
        """A claim that a cut of power takes is made again. That is harmless where the history of runs knows what has
        begun, and allowed where fires may run twice.
        """
        return self.file.acommit(body) if self.remembers or self.at_least_once else self.file.awrite(body)

    async def carry_out(
        self, tick: Tick, *, again: bool = False, activation: Activation | None = None
    ) -> Outcome | None:
        """`again`: whoever had it before may have begun. None when no run came of it."""
        self.leases.hold(tick.event_id)
        try:
            return await self._attempt(tick, activation, again=again)
        except asyncio.CancelledError:
            by_hand = tick.kind == MANUAL and not again
            await asyncio.shield(self.cancel(tick) if by_hand else self._give_back(tick))
            raise
        except Exception as error:
            _log.exception("a fire of trigger %r failed", tick.trigger_name)
            await self._finish(tick, "failed", f"{type(error).__name__}: {error}")
            if tick.kind == MANUAL:
                raise
            return None
        finally:
            self.leases.drop(tick.event_id)
            self.inputs.pop(tick.event_id, None)

    async def begin(self, begun: Begun, *, of_before: bool) -> Outcome | None:
        """`of_before`: it may have begun already, before the power was cut."""
        if begun.inputs is not None:
            self.inputs[begun.tick.event_id] = begun.inputs
        try:
            return await (self.take_up if of_before else self.carry_out)(begun.tick, activation=begun.activation)
        finally:
            self.inputs.pop(begun.tick.event_id, None)

    async def take_up(self, tick: Tick, *, activation: Activation | None = None) -> Outcome | None:
        """Carry out what nobody has, but may have begun before the power was cut: that takes claims, and leaves runs.

        A run that seems to go on is left until the lease of its owner must have ended.
        """
        status = await self.status_of(tick.run_id) if self.remembers else None
        if status != "running":
            return await self.carry_out(tick, again=status is not None, activation=activation)
        later = self.by.until(self.clock())
        await self._end(lambda tx: ticks.give_back(tx, tick.event_id, owner=self.by.owner, at=later))
        return None

    async def cancel(self, tick: Tick) -> None:
        """Whoever fired it by hand does not want it any more. A run that has ended all the same keeps its end."""
        try:
            known = await self.status_of(tick.run_id) if self.remembers else None
            if known in _OVER:
                await self._finish(tick, known, None)
            else:
                await self._finish(tick, "cancelled", "who fired it has cancelled it")
        except WingbeatError as error:
            _log.warning("that a fire of trigger %r was cancelled could not be kept: %s", tick.trigger_name, error)

    def _give_back(self, tick: Tick) -> Awaitable[None]:
        now = self.clock()
        return self.file.acommit(lambda tx: ticks.give_back(tx, tick.event_id, owner=self.by.owner, at=now))

    async def _attempt(self, tick: Tick, activation: Activation | None, *, again: bool) -> Outcome | None:
        checks_first = tick.status == "checking"
        try:
            activation = activation or await self.file.aread(lambda tx: activations.get(tx, tick.trigger_name))
            if activation is None:
                await self._finish(tick, "failed", f"trigger {tick.trigger_name!r} is gone")
                return None
            if checks_first:
                return await self._check(tick, activation)
            return await self._run(tick, activation, again=again)
        except SystemExit as end:
            raise exit_error("poll_fn" if checks_first else "its run", end) from end

    async def _check(self, tick: Tick, activation: Activation) -> Outcome | None:
        definition = self.code.definitions(activation)
        poll_fn = definition.polled()
        if poll_fn is None:
            await self._finish(tick, "skipped", "its poll_fn was taken away")
            return None
        context = PollContext(activation.name, tick.scheduled_for, json.loads(activation.cursor_json or "null"))
        timeout = definition.timeout.total_seconds() if definition.timeout else None
        answer = read(await ask(poll_fn, context, timeout=timeout))
        cursor = None if context.cursor is None else json_text(context.cursor)
        texts: list[str] = []
        if isinstance(answer, list):
            codecs = self.code.codecs(activation.dag_nsref)
            texts = [event_text(fire.payload, codecs, slot=tick.scheduled_for) for fire in answer]
        check = Check(tick, activation, definition)
        settled = await self.file.awrite(
            lambda tx: checks.settle(tx, check, answer, texts=texts, cursor=cursor, by=self.by, now=self.clock())
        )
        if settled.makes_way:
            self.nudge()
        outcomes = await asyncio.gather(
            *(self._carry_out_answer(each, fire, activation) for each, fire in settled.begun)
        )
        return next((outcome for outcome in outcomes if outcome is not None), None)

    async def _carry_out_answer(self, tick: Tick, fire: Fire, activation: Activation) -> Outcome | None:
        self.inputs[tick.event_id] = fire.payload
        return await self.carry_out(tick, activation=activation)

    async def _run(self, tick: Tick, activation: Activation, *, again: bool) -> Outcome | None:
        definition = self.code.definitions(activation)
        begun = await self._had_begun(tick) if again else None
        if begun == "failed":
            await self._failed(tick, activation, definition, "the run failed")
            return None
        if begun is not None and _is_over(tick, begun):
            await self._finish(tick, begun, "the process that ran it is gone" if begun == _LOST else None)
            return None
        start = self._start(tick, activation, definition)
        run = self.runner.run if begun is None else self.runner.resume
        timeout = definition.timeout.total_seconds() if definition.timeout else None
        bound, began = asyncio.timeout(timeout), self.clock()
        try:
            self.runs += 1
            with initiated_by(tick.initiated_by):
                async with bound:
                    outcome = await run(start)
        except ValueError:
            if begun is None and self.remembers and await self.status_of(tick.run_id) is not None:
                return await self.take_up(tick, activation=activation)
            raise
        except TimeoutError:
            if not bound.expired():
                raise
            await self._failed(tick, activation, definition, f"the run had not ended after {timeout:g} s")
            return None
        self._warn_of_overrun(tick, definition, began)
        if outcome.status == "failed":
            await self._failed(tick, activation, definition, outcome.error or "the run failed")
        else:
            await self._finish(tick, outcome.status, None)
        return outcome

    async def _had_begun(self, tick: Tick) -> str | None:
        """What is known of its run: None when it is to be run from the start."""
        if not self.remembers:
            return None if self.at_least_once else _LOST
        return await self.status_of(tick.run_id)

    def _start(self, tick: Tick, activation: Activation, definition: TriggerDef) -> Start:
        slot = tick.scheduled_for
        live = self.inputs.get(tick.event_id)
        if live is None and tick.payload_json is not None:
            live = event_values(tick.payload_json, self.code.codecs(activation.dag_nsref))
        values = inputs_of(definition, live, slot)
        return Start(tick.run_id, activation.dag_nsref, values, tick.trigger_name, slot)

    async def _failed(self, tick: Tick, activation: Activation, definition: TriggerDef, error: str) -> None:
        if tick.kind == MANUAL or tick.attempt > definition.retries:
            await self._finish(tick, "failed", error)
            return
        now = self.clock()
        about = f"{tick.trigger_name}/{tick.kind}/{tick.slot_key}"
        run_id = run_id_of(about, activation.dag_nsref, tick.scheduled_for or now, attempt=tick.attempt + 1)
        at = now + RETRY.delay(tick.attempt - 1)

        def again(tx: Transaction) -> None:
            if ticks.try_again(tx, tick, owner=self.by.owner, run_id=run_id, error=error, at=at):
                activations.ran(tx, tick.trigger_name, tick.run_id, now)

        await self._end(again)

    def _warn_of_overrun(self, tick: Tick, definition: TriggerDef, began: datetime) -> None:
        """Slots that came due meanwhile are skipped by its policy, which somebody may not have meant."""
        now = self.clock()
        alone = definition.overlap == Overlapping.SKIP and definition.max_instances == 1
        if now - began < _SHORTEST_GAP or not alone or tick.kind != SCHEDULE:
            return
        schedule = schedule_of(definition)
        following = next_after(schedule, began, began) if schedule is not None else None
        if following is not None and following <= now:
            _log.warning(
                "a run of trigger %r took %s, so slots from %s on were skipped",
                tick.trigger_name,
                now - began,
                following,
            )

    async def _finish(self, tick: Tick, status: str, error: str | None) -> None:
        now = self.clock()

        def finish(tx: Transaction) -> bool:
            """Whether something else may begin now."""
            if not ticks.finish(tx, tick.event_id, owner=self.by.owner, status=status, error=error, now=now):
                return False
            if tick.status == "checking":
                activations.checked(tx, tick.trigger_name, now)
                return activations.wake(tx, tick.trigger_name, now)
            makes_way = activations.ended(tx, tick.trigger_name, tick.run_id, now)
            if tick.kind != MANUAL:
                makes_way |= ticks.unpark(tx, tick.trigger_name, now, room=1, backfill=tick.kind == "backfill") > 0
            return makes_way

        if await self._end(finish):
            self.nudge()

    def _end(self, body: Callable[[Transaction], T]) -> Awaitable[T]:
        """Where the history of runs says the end already, a cut of power may take this one: it is looked up then."""
        return self.file.acommit(body) if self.remembers else self.file.awrite(body)


def _is_over(tick: Tick, status: str) -> bool:
    """A run that the end of its process has cancelled goes on in another one; who fired by hand has cancelled it."""
    return status in _OVER or status == _LOST or (status == "cancelled" and tick.kind == MANUAL)
