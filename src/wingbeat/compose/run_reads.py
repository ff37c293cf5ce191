"""What has been recorded of runs, for callers: dictionaries as rows are, or models with everything below a run.

Every read is one transaction, served by an index and bounded; a reader never waits for a writer.
"""

from collections.abc import Callable, Sequence
from typing import Any

from wingbeat.compose.arguments import checked_limit
from wingbeat.compose.process import is_gone
from wingbeat.compose.run_models import DagRun, IoPayload, models, read_rows
from wingbeat.store.compose import nodes, owners, runs
from wingbeat.store.compose.connection import File
from wingbeat.store.compose.runs import StoredRun
from wingbeat.store.compose.transaction import Transaction

_ACTIVE_RUNS = 100


class RunReads:
    """Times are seconds since 1970 in dictionaries, and aware datetimes in models."""

    def __init__(self, file: File) -> None:
        self._file = file

    def get_run(self, run_id: str) -> dict[str, Any] | None:
        return self._file.read(lambda tx: _run_row(tx, run_id))

    def get_node_executions(self, run_id: str) -> list[dict[str, Any]]:
        """In the order of their starts."""
        return self._file.read(lambda tx: _node_rows(tx, run_id))

    def get_node_output(self, run_id: str, node_label: str) -> str | None:
        """The JSON that a node which completed, or was skipped, gave."""
        return self._file.read(lambda tx: nodes.get_output(tx, run_id, node_label))

    def get_pending_nodes(self, run_id: str) -> list[str]:
        """Nodes that have begun, and neither completed nor were skipped."""
        rows = self._file.read(lambda tx: nodes.of_runs(tx, [run_id]))
        return [node.node_label for node in rows if node.status not in ("completed", "skipped")]

    def get_edge_traversals(self, run_id: str) -> list[dict[str, Any]]:
        """In the order of time."""
        edges = self._file.read(lambda tx: nodes.edges_of_runs(tx, [run_id]))
        return [
            {
                "run_id": edge.run_id,
                "upstream_label": edge.upstream_label,
                "downstream_label": edge.downstream_label,
                "traversed_at": edge.traversed_at,
            }
            for edge in edges
        ]

    def inspect_run(self, run_id: str) -> DagRun | None:
        """The run with its nodes, edges and the runs below it, `MOST_DESCENDANTS` at most."""
        found = self._models(lambda tx: [run] if (run := runs.get(tx, run_id)) else [])
        return found[0] if found else None

    def load_io(self, dag_run: DagRun, node_labels: Sequence[str] | None = None) -> None:
        """Fill `io` of a run and of its nodes, or of those named; not of the runs below it."""

        def read(tx: Transaction) -> None:
            run_io = runs.get_io(tx, dag_run.run_id)
            if run_io:
                dag_run.io = IoPayload(input_json=run_io[0], output_json=run_io[1])
            labels = list(dag_run.nodes) if node_labels is None else node_labels
            for label, input_json, output_json in nodes.get_io(tx, dag_run.run_id, labels):
                if label in dag_run.nodes:
                    dag_run.nodes[label].io = IoPayload(input_json=input_json, output_json=output_json)

        self._file.read(read)

    def get_recent_runs(
        self, limit: int = 20, status: str | None = None, *, trigger_name: str | None = None
    ) -> list[DagRun]:
        """The latest first, with the runs below them. Raises InvalidArgument for a limit below zero."""
        most = checked_limit(limit)
        return self._models(lambda tx: runs.recent(tx, limit=most, status=status, trigger_name=trigger_name))

    def get_active_runs(self) -> list[DagRun]:
        """Runs that are running, the latest 100."""
        return self.get_recent_runs(limit=_ACTIVE_RUNS, status="running")

    def get_child_runs(self, parent_run_id: str, *, limit: int = 1_000) -> list[DagRun]:
        """All runs below a run: its children first, then theirs."""
        most = checked_limit(limit)
        return self._models(lambda tx: runs.descendants(tx, [parent_run_id], limit=most))

    def get_crashed_runs(self, limit: int = 100) -> list[DagRun]:
        """Runs that are running by their status, but whose process is gone: the earliest first."""
        most = checked_limit(limit)
        return self._models(lambda tx: _crashed(tx, limit=most))

    def _models(self, find: Callable[[Transaction], list[StoredRun]]) -> list[DagRun]:
        return models(self._file.read(lambda tx: read_rows(tx, find(tx))))


def _crashed(tx: Transaction, *, limit: int) -> list[StoredRun]:
    leased, without = owners.of_running_runs(tx)
    gone = [owner.owner for owner in leased if is_gone(owner, now=tx.now)]
    return owners.running_runs(tx, [*gone, *without], limit=limit)


def _run_row(tx: Transaction, run_id: str) -> dict[str, Any] | None:
    run, io = runs.get(tx, run_id), runs.get_io(tx, run_id)
    if run is None or io is None:
        return None
    return {
        "run_id": run.run_id,
        "dag_nsref": run.dag_nsref,
        "parent_run_id": run.parent_run_id,
        "status": run.status,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "source_inputs_json": io[0],
        "sink_outputs_json": io[1],
        "initiated_by": run.initiated_by,
        "trigger_name": run.trigger_name,
        "error": run.error,
    }


def _node_rows(tx: Transaction, run_id: str) -> list[dict[str, Any]]:
    found = nodes.of_runs(tx, [run_id])
    payloads = {label: io for label, *io in nodes.get_io(tx, run_id, [node.node_label for node in found])}
    return [
        {
            "run_id": node.run_id,
            "node_label": node.node_label,
            "status": node.status,
            "is_source": bool(node.is_source),
            "is_sink": bool(node.is_sink),
            "input_json": payloads[node.node_label][0],
            "output_json": payloads[node.node_label][1],
            "started_at": node.started_at,
            "finished_at": node.finished_at,
            "error": node.error,
        }
        for node in found
    ]
