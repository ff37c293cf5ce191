"""Running a DAG: from the start, from where a run stopped, or again from some of its nodes.

Its one rule: what a run returns is its end, also when it failed; only a run that cannot begin is an error.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pydantic import BaseModel

from wingbeat.compose.changes import Change, NodeSkipped, RunCreated, RunTaken
from wingbeat.compose.dag_provenance import DagProvenance, NullProvenance
from wingbeat.compose.initiators import run_initiator
from wingbeat.compose.plans import Plan
from wingbeat.compose.running.calls import DagPause
from wingbeat.compose.running.execution import Execution, Frame
from wingbeat.compose.running.inputs import Inputs, check_inputs
from wingbeat.compose.running.journal import Journal
from wingbeat.compose.running.nested import run_composite
from wingbeat.compose.running.resuming import texts_left, texts_standing, values_left
from wingbeat.compose.running.source_values import source_values, source_values_text
from wingbeat.errors import AlreadyExists, FailedPrecondition, NotFound
from wingbeat.store.compose.texts import is_storable

if TYPE_CHECKING:
    from wingbeat.compose.dags import Dag

__all__ = ["DagPause", "DagRunResult", "DagRunner"]

NO_NSREF = "unknown"
"""Where a DAG is that is in no namespace."""


class DagRunResult(BaseModel):
    """How a run ended. `outputs` are those of the sinks that have one."""

    run_id: str
    status: str
    """`completed`, `failed` or `paused`."""
    outputs: dict[str, Any]
    failed_node: str | None = None
    """None also when it failed outside of its nodes."""
    error: str | None = None


class DagRunner:
    """Runs one DAG, as often and as many times at once as it is asked to."""

    def __init__(self, dag: "Dag", provenance: DagProvenance | NullProvenance | None = None) -> None:
        """Without a provenance nothing is recorded."""
        self.dag = dag
        self.provenance = NullProvenance() if provenance is None else provenance
        self._executions: set[Execution] = set()

    def pause(self) -> None:
        """Let the runs that are going on start no further node: they are paused when their running nodes have ended."""
        for execution in self._executions:
            execution.pause()

    async def run(
        self,
        source_inputs: dict[str, dict[str, Any]] | None = None,
        dag_nsref: str | None = None,
        parent_run_id: str | None = None,
        *,
        run_id: str | None = None,
        trigger_name: str | None = None,
        scheduled_for: datetime | None = None,
    ) -> DagRunResult:
        """Run it from the start. `source_inputs` are values by the labels of sources and the names of parameters.

        Raises ValueError when the DAG is wrong, the inputs are not those of its sources, or a run of this `run_id` is
        in the history; nothing is recorded then.
        """
        plan, inputs = self.dag.plan(), source_inputs or {}
        check_inputs(plan, inputs)
        if run_id and not is_storable(run_id):
            raise ValueError(f"run_id {run_id!r} has half of a surrogate pair, which no history can hold: replace it")
        frame = self._frame(run_id or str(uuid4()), dag_nsref or NO_NSREF, scheduled_for=scheduled_for)
        text = source_values_text(plan, inputs) if self.provenance.records else ""
        created = RunCreated(frame.run_id, frame.dag_nsref, text, parent_run_id, run_initiator.get(), trigger_name)
        try:
            return await self._execute(plan, frame, created, inputs=inputs, texts={})
        except AlreadyExists as error:
            raise ValueError(f"Run {frame.run_id!r} cannot begin: {error}") from error

    async def restart(self, run_id: str, *, scheduled_for: datetime | None = None) -> DagRunResult:
        """Go on with a run that is paused, failed or cancelled, or whose process is gone, after its completed nodes.

        Raises ValueError when there is no such run, or it is completed or still kept going, or what it left cannot be
        read any more.
        """
        found = await self._found(run_id)
        if found["status"] == "completed":
            raise ValueError(f"Run {run_id!r} has status 'completed', expected 'paused' or 'failed'")
        plan = self.dag.plan()
        inputs = source_values(plan, found["source_inputs_json"])
        check_inputs(plan, inputs)
        values_left(plan, await self._texts_left(plan, run_id))
        await self._take(run_id)
        texts = await self._texts_left(plan, run_id)
        frame = self._frame(run_id, found["dag_nsref"], scheduled_for=scheduled_for)
        return await self._execute(plan, frame, inputs=inputs, texts=texts)

    async def replay(self, run_id: str, rerun_nodes: set[str]) -> DagRunResult:
        """A new run in which these nodes run again, and all after them; the outputs of the others are taken over.

        Raises ValueError when there is no such run or no such node.
        """
        found = await self._found(run_id)
        plan = self.dag.plan()
        texts = texts_standing(plan, await self._texts_left(plan, run_id), rerun=rerun_nodes)
        inputs = source_values(plan, found["source_inputs_json"])
        check_inputs(plan, inputs)
        frame = self._frame(str(uuid4()), found["dag_nsref"])
        text = source_values_text(plan, inputs)
        created = RunCreated(frame.run_id, frame.dag_nsref, text, initiated_by=run_initiator.get())
        skipped = [NodeSkipped(frame.run_id, label, output) for label, output in texts.items()]
        return await self._execute(plan, frame, created, *skipped, inputs=inputs, texts=texts)

    def _frame(self, run_id: str, dag_nsref: str, *, scheduled_for: datetime | None = None) -> Frame:
        return Frame(run_id, dag_nsref, self.dag.parent_namespace, scheduled_for)

    async def _found(self, run_id: str) -> dict[str, Any]:
        found = await self.provenance.aread(lambda history: history.get_run(run_id))
        if found is None:
            raise ValueError(f"Run {run_id!r} not found")
        return found

    async def _texts_left(self, plan: Plan, run_id: str) -> dict[str, str]:
        return texts_left(plan, await self.provenance.aread(lambda history: history.get_node_executions(run_id)))

    async def _take(self, run_id: str) -> None:
        try:
            await self.provenance.arecord([RunTaken(run_id)])
        except (FailedPrecondition, NotFound) as error:
            raise ValueError(f"Run {run_id!r} cannot go on here: {error}") from error

    async def _execute(
        self, plan: Plan, frame: Frame, *beginning: Change, inputs: Inputs, texts: Mapping[str, str]
    ) -> DagRunResult:
        journal = Journal(self.provenance, frame.run_id)
        for label, text in texts.items():
            journal.knows(plan.steps[label], text)
        outputs = values_left(plan, texts)
        execution = Execution(plan, frame, journal, inputs=inputs, outputs=outputs, composite=run_composite)
        self._executions.add(execution)
        try:
            outcome = await execution.run(*beginning)
        finally:
            self._executions.discard(execution)
        return DagRunResult(
            run_id=frame.run_id,
            status=outcome.status,
            outputs=outcome.outputs,
            failed_node=outcome.failed_node,
            error=outcome.error,
        )
