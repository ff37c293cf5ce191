"""One run of a DAG: whatever is ready runs, at the same time, until nothing is left or something stops it.

Its one rule: a run that ends here has an end in the history as well, however it ended.
"""

import asyncio
import logging
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

from wingbeat.compose.changes import Change, Ending, RunPaused
from wingbeat.compose.composites import CompositeDagNode
from wingbeat.compose.contexts import DagPath
from wingbeat.compose.log_context import reset_node_run_context, set_node_run_context
from wingbeat.compose.plans import Plan, Step
from wingbeat.compose.registry import Namespace
from wingbeat.compose.running.calls import DagPause, call
from wingbeat.compose.running.inputs import Inputs, inputs_of
from wingbeat.compose.running.journal import Journal
from wingbeat.errors import AlreadyExists
from wingbeat.store.compose.texts import storable

if TYPE_CHECKING:
    from wingbeat.compose.nodes import NamespaceNode

_TURN_SECONDS = 0.005
"""How long nodes that never wait may keep the event loop."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Frame:
    """Which run it is, and where."""

    run_id: str
    dag_nsref: str
    namespace: Namespace | None
    scheduled_for: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    status: str
    outputs: dict[str, Any]
    failed_node: str | None = None
    error: str | None = None


class Execution:
    def __init__(
        self,
        plan: Plan,
        frame: Frame,
        journal: Journal,
        *,
        inputs: Inputs,
        outputs: dict[str, Any],
        composite: Callable[["Execution", Step, Any], Coroutine[Any, Any, Any]],
    ) -> None:
        """`outputs` are those of nodes that need not run."""
        self.frame = frame
        self.journal = journal
        self._plan = plan
        self._inputs = inputs
        self._outputs = outputs
        self._composite = composite
        self._waiting_for = {
            label: sum(each not in outputs for each in step.before)
            for label, step in plan.steps.items()
            if label not in outputs
        }
        self._ready = [label for label, count in self._waiting_for.items() if not count]
        self._running: dict[str, asyncio.Task[None] | None] = {}
        self._woken = asyncio.Event()
        self._pausing = False
        self._failure: tuple[str | None, str] | None = None
        self._broken: BaseException | None = None
        self._turn_ends = monotonic() + _TURN_SECONDS

    def pause(self) -> None:
        """Start no further node."""
        self._pausing = True

    async def run(self, *beginning: Change) -> Outcome:
        """Raises only what is no Exception, what keeps the end from being recorded, and AlreadyExists for a run that is
        in the history: nothing has begun then.
        """
        self.journal.add(*beginning)
        try:
            await self._go()
            outcome = self._outcome()
            self._record_end(outcome)
            await self.journal.write_end()
        except AlreadyExists:
            raise
        except Exception as error:
            log.exception("run %s failed outside of its nodes", self.frame.run_id)
            await self._abandon("failed", error=error)
            return Outcome("failed", self._sink_outputs(), error=storable(str(error)))
        except BaseException as error:
            ending = "cancelled" if isinstance(error, asyncio.CancelledError) else "failed"
            await asyncio.shield(asyncio.ensure_future(self._abandon(ending, error=error)))
            raise
        return outcome

    async def _go(self) -> None:
        while True:
            starting = self._start_ready()
            if not starting and not self._running:
                return
            await self.journal.write()
            if len(starting) == 1 and not self._running:
                ((step, inputs),) = starting
                self._running[step.label] = None
                await self._run(step, inputs)
                await self._give_turn()
                continue
            for step, inputs in starting:
                self._spawn(step, inputs)
            if self._running:
                await self._next_end()

    def _start_ready(self) -> list[tuple[Step, Any]]:
        if self._stops():
            return []
        labels, self._ready = sorted(self._ready), []
        return [found for label in labels if (found := self._started(self._plan.steps[label]))]

    def _started(self, step: Step) -> tuple[Step, Any] | None:
        try:
            inputs = self._outputs[step.fed_by] if step.fed_by else inputs_of(step, self._outputs, self._inputs)
        except (LookupError, TypeError, ValueError) as error:
            self.journal.starts(step, None)
            self._fail(step, error)
            return None
        self.journal.starts(step, inputs)
        return step, inputs

    def _spawn(self, step: Step, inputs: Any) -> None:
        task = asyncio.create_task(self._run(step, inputs), name=f"{self.frame.run_id} {step.label}")
        self._running[step.label] = task
        task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken = error
        self._woken.set()

    async def _next_end(self) -> None:
        await self._woken.wait()
        self._woken.clear()
        if self._broken is not None:
            raise self._broken

    async def _run(self, step: Step, inputs: Any) -> None:
        try:
            output = await self._output_of(step, inputs)
            self.journal.completes(step, output)
        except DagPause:
            self._pausing = True
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            self._fail(step, error)
        except Exception as error:
            log.exception("node %s of run %s failed", step.label, self.frame.run_id)
            self._fail(step, error)
        else:
            self._complete(step, output)
        del self._running[step.label]

    async def _output_of(self, step: Step, inputs: Any) -> Any:
        token = set_node_run_context(run_id=self.frame.run_id, node_label=step.label)
        try:
            if isinstance(step.node, CompositeDagNode):
                return await self._composite(self, step, inputs)
            node = self._node(step)
            return await call(step, node.target, self._context(step, node), inputs)
        finally:
            reset_node_run_context(token)

    def _node(self, step: Step) -> "NamespaceNode":
        """What is registered at its place in the namespace of the run comes first."""
        namespace, own = self.frame.namespace, step.node.ns_node
        return own if namespace is None else namespace.find(step.nsref) or own

    def _context(self, step: Step, node: "NamespaceNode") -> tuple[Any, ...]:
        context_type = step.context_type if node is step.node.ns_node else node.dag_context_type()
        if context_type is None:
            return ()
        frame = self.frame
        context = context_type(
            dag_nsref=DagPath(frame.dag_nsref),
            node_label=step.label,
            run_id=frame.run_id,
            scheduled_for=frame.scheduled_for,
            namespace=frame.namespace,
        )
        return (context,)

    def _complete(self, step: Step, output: Any) -> None:
        self._outputs[step.label] = output
        for label in step.after:
            if label in self._waiting_for:
                self._waiting_for[label] -= 1
                if not self._waiting_for[label]:
                    self._ready.append(label)

    def _fail(self, step: Step, error: BaseException) -> None:
        self.journal.fails(step.label, "".join(traceback.format_exception(error)))
        self._failure = self._failure or (step.label, storable(str(error)) or type(error).__name__)

    def _stops(self) -> bool:
        return self._pausing or self._failure is not None

    async def _give_turn(self) -> None:
        if monotonic() > self._turn_ends:
            await asyncio.sleep(0)
            self._turn_ends = monotonic() + _TURN_SECONDS

    def _outcome(self) -> Outcome:
        if self._failure is not None:
            return Outcome("failed", self._sink_outputs(), *self._failure)
        status = "completed" if len(self._outputs) == len(self._plan.steps) else "paused"
        return Outcome(status, self._sink_outputs())

    def _sink_outputs(self) -> dict[str, Any]:
        return {sink.label: self._outputs[sink.label] for sink in self._plan.sinks if sink.label in self._outputs}

    def _record_end(self, outcome: Outcome) -> None:
        match outcome.status:
            case "paused":
                self.journal.add(RunPaused(self.frame.run_id))
            case "failed":
                self.journal.ends("failed", error=outcome.error)
            case _:
                self.journal.ends("completed")

    async def _abandon(self, ending: Ending, *, error: BaseException) -> None:
        """End what still runs, and record that. Raises the error when that is impossible."""
        labels = list(self._running)
        tasks = [task for task in self._running.values() if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for label in labels:
            self.journal.fails(label, ending)
        self.journal.ends(ending, error="".join(traceback.format_exception(error)))
        try:
            await self.journal.write_end()
        except Exception as unwritten:
            log.exception("the end of run %s could not be recorded", self.frame.run_id)
            raise error from unwritten
