"""Runs inside of a node: of one DAG, of one for each element, or of the one that a value chooses."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from wingbeat.compose.changes import RunCreated
from wingbeat.compose.composites import CallNode, MapNode, MapSwitchNode, SwitchNode
from wingbeat.compose.initiators import run_initiator
from wingbeat.compose.plans import Step
from wingbeat.compose.running.calls import DagPause
from wingbeat.compose.running.execution import Execution
from wingbeat.compose.running.inputs import element_inputs
from wingbeat.compose.running.journal import Journal
from wingbeat.compose.running.source_values import source_values_text

if TYPE_CHECKING:
    from wingbeat.compose.dags import Dag

SWITCH_KEY = "__switch__"
"""Where a dict names its branch."""


async def run_composite(parent: Execution, step: Step, value: Any) -> Any:
    """The result of a composite node. Raises RuntimeError when a run in it fails, DagPause when one pauses."""
    match step.node:
        case MapNode() as node:
            return await _mapped(parent, node, value)
        case CallNode() as node:
            return await _run(parent, node.sub_dag, value, key=f"{node.label}[]")
        case MapSwitchNode() as node:
            return await _map_switched(parent, node, value)
        case SwitchNode() as node:
            name, data = _choice(node, node.label, value)
            return await _run(parent, node.branches[name], data, key=f"{node.label}[{name}]")
        case other:
            raise TypeError(f"node {step.label!r} is a {type(other).__name__}, which nothing here runs")


async def _mapped(parent: Execution, node: MapNode, values: Any) -> Any:
    async def run(item: tuple[Any, Any]) -> Any:
        return await _run(parent, node.sub_dag, item[1], key=f"{node.label}[{item[0]}]")

    if isinstance(values, dict):
        found = cast("dict[Any, Any]", values)
        return dict(zip(map(str, found), await _bounded(run, found.items(), limit=node.limit), strict=True))
    return _joined(await _bounded(run, enumerate(_listed(node.label, values, "list or dict")), limit=node.limit))


async def _map_switched(parent: Execution, node: MapSwitchNode, values: Any) -> Any:
    async def run(item: tuple[int, Any]) -> Any:
        name, data = _choice(node.switch_node, node.label, item[1])
        return await _run(parent, node.switch_node.branches[name], data, key=f"{node.label}[{item[0]}:{name}]")

    return _joined(await _bounded(run, enumerate(_listed(node.label, values, "list")), limit=node.limit))


async def _run(parent: Execution, dag: "Dag", value: Any, *, key: str) -> Any:
    """One run, whose history is a child of the parent's."""
    frame = replace(
        parent.frame,
        run_id=str(uuid4()),
        dag_nsref=f"{parent.frame.dag_nsref}/{key}",
        namespace=dag.parent_namespace or parent.frame.namespace,
    )
    plan = dag.plan()
    inputs = element_inputs(plan, value)
    journal = Journal(parent.journal.recorder, frame.run_id, inner=True)
    execution = Execution(plan, frame, journal, inputs=inputs, outputs={}, composite=run_composite)
    text = source_values_text(plan, inputs) if journal.records else ""
    created = RunCreated(frame.run_id, frame.dag_nsref, text, parent.frame.run_id, run_initiator.get())
    outcome = await execution.run(created)
    if outcome.status == "paused":
        raise DagPause(f"Sub-DAG [{key}] paused")
    if outcome.status != "completed":
        raise RuntimeError(f"Sub-DAG [{key}] failed: {outcome.error}")
    return outcome.outputs[plan.sinks[0].label]


async def _bounded(run: Callable[[Any], Awaitable[Any]], items: Iterable[Any], *, limit: int) -> list[Any]:
    """Results in the order of items. The first error is raised when those that run have ended; no more are started."""
    left = enumerate(items)
    results: dict[int, Any] = {}
    errors: list[Exception] = []

    async def work(first: tuple[int, Any]) -> None:
        place, item = first
        while not errors:
            try:
                results[place] = await run(item)
            except Exception as error:
                errors.append(error)
                raise
            if (following := next(left, None)) is None:
                return
            place, item = following

    workers = [asyncio.create_task(work(each)) for each in islice(left, limit)]
    try:
        await asyncio.gather(*workers, return_exceptions=True)
    finally:
        for worker in workers:
            worker.cancel()
    if errors:
        raise next((each for each in errors if not isinstance(each, DagPause)), errors[0])
    return [results[place] for place in sorted(results)]


def _choice(switch: SwitchNode, label: str, value: Any) -> tuple[str, Any]:
    """The branch that a value names, and what goes into it."""
    name, data = _named(value)
    if name is None:
        raise TypeError(
            f"node {label!r} needs a LabelSwitch, as (label, value) or under {SWITCH_KEY!r}: "
            f"it got a {type(value).__name__}"
        )
    if name not in switch.branches:
        raise ValueError(f"node {label!r} has no branch {name!r}: it has {list(switch.branches)}")
    return name, data


def _named(value: Any) -> tuple[str | None, Any]:
    if isinstance(value, dict) and SWITCH_KEY in value:
        data = dict(cast("dict[str, Any]", value))
        return str(data.pop(SWITCH_KEY)), data
    if isinstance(value, list | tuple) and len(cast("list[Any]", value)) > 1:
        items = cast("list[Any]", value)
        return str(items[0]), items[1] if len(items) == 2 else items[1:]
    return None, None


def _listed(label: str, values: Any, wanted: str) -> list[Any]:
    if not isinstance(values, list):
        raise TypeError(f"node {label!r} got a {type(values).__name__}, expected {wanted}")
    return cast("list[Any]", values)


def _joined(results: list[Any]) -> list[Any]:
    """Results that are lists themselves are put one after the other."""
    joined: list[Any] = []
    for result in results:
        joined.extend(cast("list[Any]", result) if isinstance(result, list) else [result])
    return joined
