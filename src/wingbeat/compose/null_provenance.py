"""A history that keeps nothing: what runs have when nobody asked for one."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from wingbeat.compose.changes import Change
from wingbeat.compose.run_models import DagRun

T = TypeVar("T")


class NullProvenance:
    """Has the methods of `DagProvenance`: writes do nothing, reads find nothing."""

    def create_run(
        self,
        run_id: str,
        dag_nsref: str,
        source_inputs: dict[str, Any],
        parent_run_id: str | None = None,
        initiator: str | None = None,
    ) -> None:
        return

    def update_run_status(self, run_id: str, status: str) -> None:
        return

    def finish_run(self, run_id: str, status: str, sink_outputs_json: str | None = None) -> None:
        return

    def record_node_start(
        self, run_id: str, node_label: str, input_json: str, is_source: bool = False, is_sink: bool = False
    ) -> None:
        return

    def record_node_skipped(self, run_id: str, node_label: str, output_json: str) -> None:
        return

    def complete_node_with_edges(
        self, run_id: str, node_label: str, output_json: str, edges: list[tuple[str, str]]
    ) -> None:
        return

    def fail_node_and_finish_run(self, run_id: str, node_label: str, error: str) -> None:
        return

    @property
    def records(self) -> bool:
        return False

    def record(self, changes: Sequence[Change]) -> None:
        return

    async def arecord(self, changes: Sequence[Change], *, durable: bool = True) -> None:
        return

    async def aread(self, read: "Callable[[NullProvenance], T]") -> T:
        return read(self)

    def prune(self, keep: timedelta | int) -> int:
        return 0

    async def aprune(self, keep: timedelta | int) -> int:
        return 0

    def get_run(self, run_id: str) -> dict[str, Any] | None:
        return None

    def get_node_executions(self, run_id: str) -> list[dict[str, Any]]:
        return []

    def get_node_output(self, run_id: str, node_label: str) -> str | None:
        return None

    def get_pending_nodes(self, run_id: str) -> list[str]:
        return []

    def get_edge_traversals(self, run_id: str) -> list[dict[str, Any]]:
        return []

    def inspect_run(self, run_id: str) -> DagRun | None:
        return None

    def load_io(self, dag_run: DagRun, node_labels: Sequence[str] | None = None) -> None:
        return

    def get_recent_runs(
        self, limit: int = 20, status: str | None = None, *, trigger_name: str | None = None
    ) -> list[DagRun]:
        return []

    def get_active_runs(self) -> list[DagRun]:
        return []

    def get_child_runs(self, parent_run_id: str, *, limit: int = 1_000) -> list[DagRun]:
        return []

    def get_crashed_runs(self, limit: int = 100) -> list[DagRun]:
        return []
