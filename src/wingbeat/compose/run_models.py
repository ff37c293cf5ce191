"""Runs as their readers see them, and how rows become them. All times are aware and in UTC."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel

from wingbeat.store.compose import nodes, runs
from wingbeat.store.compose.nodes import StoredEdge, StoredNode
from wingbeat.store.compose.runs import StoredRun
from wingbeat.store.compose.transaction import Transaction

MOST_DESCENDANTS = 5_000
"""Runs below those that are asked for that are read with them: the upper levels first, in each the earliest."""


class EdgeTraversal(BaseModel):
    """A value went along an edge to the node `downstream_label`."""

    downstream_label: str
    traversed_at: datetime


class IoPayload(BaseModel):
    """What went in and came out, as JSON. Read by `load_io`, because it may be large."""

    input_json: str | None = None
    output_json: str | None = None


class NodeExecution(BaseModel):
    """A node of a run. `sub_dags` has the runs that a map, a switch or a nested DAG started, by `"label[key]"`."""

    node_label: str
    status: str
    is_source: bool = False
    is_sink: bool = False
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: str | None = None
    edges: list[EdgeTraversal] = []
    sub_dags: "dict[str, DagRun] | None" = None
    io: IoPayload | None = None


class DagRun(BaseModel):
    """A run with its nodes by label, in the order of their starts."""

    run_id: str
    dag_nsref: str
    parent_run_id: str | None = None
    status: str
    started_at: datetime
    finished_at: datetime | None = None
    initiated_by: str | None = None
    trigger_name: str | None = None
    error: str | None = None
    nodes: dict[str, NodeExecution] = {}
    io: IoPayload | None = None

    def latest_update(self) -> datetime:
        """When anything of the run last changed, runs below it apart."""
        moments = [self.started_at, self.finished_at]
        for node in self.nodes.values():
            moments += [node.started_at, node.finished_at, *(edge.traversed_at for edge in node.edges)]
        return max(moment for moment in moments if moment is not None)

    def nodes_changed_since(self, dt: datetime) -> list[NodeExecution]:
        """Nodes that started or ended after this moment."""
        return [
            node
            for node in self.nodes.values()
            if any(moment is not None and moment > dt for moment in (node.started_at, node.finished_at))
        ]


@dataclass(frozen=True, slots=True)
class RunRows:
    """All that is read of some runs in one transaction."""

    asked: Sequence[StoredRun]
    below: Sequence[StoredRun]
    nodes: Sequence[StoredNode]
    edges: Sequence[StoredEdge]


def read_rows(tx: Transaction, asked: Sequence[StoredRun]) -> RunRows:
    below = runs.descendants(tx, [run.run_id for run in asked], limit=MOST_DESCENDANTS) if asked else []
    ids = {run.run_id for run in (*asked, *below)}
    return RunRows(asked, below, nodes.of_runs(tx, ids), nodes.edges_of_runs(tx, ids))


def models(rows: RunRows) -> list[DagRun]:
    """The runs that were asked for, each with the ones below it in its nodes."""
    everything = {run.run_id: _run(run) for run in (*rows.asked, *rows.below)}
    for node in rows.nodes:
        everything[node.run_id].nodes[node.node_label] = _node(node)
    for edge in rows.edges:
        upstream = everything[edge.run_id].nodes.get(edge.upstream_label)
        if upstream:
            moment = _required_moment(edge.traversed_at)
            upstream.edges.append(EdgeTraversal(downstream_label=edge.downstream_label, traversed_at=moment))
    _nest(everything, {run.run_id: run for run in (*rows.below, *rows.asked)}.values())
    return [everything[run.run_id] for run in rows.asked]


def _nest(everything: dict[str, DagRun], stored: Iterable[StoredRun]) -> None:
    for row in stored:
        parent = everything.get(row.parent_run_id or "")
        if parent is None or not row.dag_nsref.startswith(f"{parent.dag_nsref}/"):
            continue
        key = row.dag_nsref.removeprefix(f"{parent.dag_nsref}/")
        node = parent.nodes.get(key.partition("[")[0])
        if node:
            node.sub_dags = {**(node.sub_dags or {}), key: everything[row.run_id]}


def _run(row: StoredRun) -> DagRun:
    return DagRun(
        run_id=row.run_id,
        dag_nsref=row.dag_nsref,
        parent_run_id=row.parent_run_id,
        status=row.status,
        started_at=_required_moment(row.started_at),
        finished_at=_moment(row.finished_at),
        initiated_by=row.initiated_by,
        trigger_name=row.trigger_name,
        error=row.error,
    )


def _node(row: StoredNode) -> NodeExecution:
    return NodeExecution(
        node_label=row.node_label,
        status=row.status,
        is_source=bool(row.is_source),
        is_sink=bool(row.is_sink),
        started_at=_moment(row.started_at),
        finished_at=_moment(row.finished_at),
        error=row.error,
    )


def _required_moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else _required_moment(seconds)
