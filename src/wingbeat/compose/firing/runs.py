"""What a fire runs: a node of the namespace, with inputs that its sources take, recorded where runs are recorded."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Any, Protocol

from wingbeat.compose.dag_nodes import source_inputs
from wingbeat.compose.firing.answers import TriggerTime
from wingbeat.compose.firing.payloads import Codecs
from wingbeat.compose.nodes import NamespaceNode
from wingbeat.compose.registry import Namespace
from wingbeat.compose.running.inputs import check_inputs
from wingbeat.compose.running.source_values import flat_codecs
from wingbeat.compose.trigger_defs import TriggerDef


@dataclass(frozen=True, slots=True)
class Start:
    run_id: str
    dag_nsref: str
    inputs: Mapping[str, Any]
    trigger_name: str
    scheduled_for: datetime | None


class Outcome(Protocol):
    @property
    def run_id(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def error(self) -> str | None: ...


class Runner(Protocol):
    """Runs what a trigger fires. `compose.dag_runner` does it; tests may bring something smaller."""

    async def run(self, start: Start) -> Outcome: ...

    async def resume(self, start: Start) -> Outcome:
        """Go on with a run whose process is gone."""
        ...

    def has(self, dag_nsref: str) -> bool:
        """Whether there is something to run."""
        ...

    def check(self, dag_nsref: str, inputs: Mapping[str, Any], *, complete: bool) -> None:
        """Raise KeyError when nothing is there, ValueError for a DAG that is wrong or inputs that nothing takes.

        Where they are `complete`, also for those that a source lacks.
        """
        ...

    def codecs(self, dag_nsref: str) -> Codecs:
        """How to write what the parameters take that a payload may name; none for what is not there."""
        ...


class DagRuns:
    """The runs of a namespace's DAGs."""

    def __init__(self, namespace: Namespace, provenance: Any) -> None:
        self._namespace = namespace
        self._provenance = provenance
        self._around: dict[str, tuple[NamespaceNode, Any]] = {}
        """DAGs around callables, made once for each node."""
        self._codecs: dict[str, tuple[Any, Codecs]] = {}

    async def run(self, start: Start) -> Outcome:
        dag = self._dag(start.dag_nsref)
        return await self._runner(dag).run(
            source_inputs=source_inputs(dag, start.inputs),
            dag_nsref=start.dag_nsref,
            run_id=start.run_id,
            trigger_name=start.trigger_name,
            scheduled_for=start.scheduled_for,
        )

    async def resume(self, start: Start) -> Outcome:
        return await self._runner(self._dag(start.dag_nsref)).restart(start.run_id, scheduled_for=start.scheduled_for)

    def has(self, dag_nsref: str) -> bool:
        return self._namespace.find(dag_nsref) is not None

    def check(self, dag_nsref: str, inputs: Mapping[str, Any], *, complete: bool) -> None:
        dag = self._dag(dag_nsref)
        plan, given = dag.plan(), source_inputs(dag, inputs)
        if complete:
            check_inputs(plan, given)

    def codecs(self, dag_nsref: str) -> Codecs:
        try:
            plan = self._dag(dag_nsref).plan()
        except (KeyError, ValueError):  # which the run tells of
            return {}
        known = self._codecs.get(dag_nsref)
        if known is None or known[0] is not plan:
            self._codecs[dag_nsref] = known = (plan, flat_codecs(plan))
        return known[1]

    def _dag(self, dag_nsref: str) -> Any:
        node = self._namespace.get(dag_nsref)
        known = self._around.get(dag_nsref)
        if known is None or known[0] is not node:
            self._around[dag_nsref] = known = (node, self._namespace.get_as_dag(dag_nsref))
        return known[1]

    def _runner(self, dag: Any) -> Any:
        return import_module("wingbeat.compose.dag_runner").DagRunner(dag, provenance=self._provenance)


def inputs_of(
    definition: TriggerDef, payload: Mapping[str, Any] | None, scheduled_for: datetime | None
) -> dict[str, Any]:
    """What a run gets: `inputs` of the trigger, over them what the fire brings, or else the trigger's payload."""
    brought = (definition.payload or {}) if payload is None else payload
    merged = {**(definition.inputs or {}), **brought}
    return {name: scheduled_for if value is TriggerTime else value for name, value in merged.items()}
