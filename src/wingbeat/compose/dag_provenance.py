"""The history of runs in a file of SQLite: what went in, what came out, what failed, per node and edge, and by whom.

Its one rule: a call returns when the disk has it. The tables `dag_runs`, `node_executions` and `edge_traversals` are
public and may be queried with `sqlite3` while the application runs.

Without a file there is `NullProvenance`, which keeps nothing.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from wingbeat.clock import Clock, system_clock
from wingbeat.compose import pruning, recording
from wingbeat.compose.changes import Change, are_brief
from wingbeat.compose.initiators import SCHEDULER, initiated_by, run_initiator
from wingbeat.compose.json_text import json_default, json_text, safe_json_dumps
from wingbeat.compose.lease import Lease
from wingbeat.compose.null_provenance import NullProvenance
from wingbeat.compose.run_models import DagRun, EdgeTraversal, IoPayload, NodeExecution
from wingbeat.compose.run_reads import RunReads
from wingbeat.errors import AlreadyExists
from wingbeat.store.compose import nodes, owners, runs, schema
from wingbeat.store.compose.connection import open_file
from wingbeat.store.compose.runs import NewRun
from wingbeat.store.compose.transaction import Transaction

__all__ = [
    "SCHEDULER",
    "DagProvenance",
    "DagRun",
    "EdgeTraversal",
    "IoPayload",
    "NodeExecution",
    "NullProvenance",
    "initiated_by",
    "json_default",
    "run_initiator",
    "safe_json_dumps",
]

T = TypeVar("T")


class DagProvenance(RunReads):
    """Methods may be called from any thread, inside and outside of a running event loop, and after a fork.

    They raise Unavailable when another program has held the file for too long; nothing was written then.
    """

    def __init__(self, db_path: Path, *, clock: Clock = system_clock) -> None:
        """Raises StartError when the file cannot be used."""
        self.db_path = Path(db_path)
        super().__init__(open_file(self.db_path, clock=clock))
        schema.ensure(self._file)
        self._lease = Lease(self._file)

    def create_run(
        self,
        run_id: str,
        dag_nsref: str,
        source_inputs: dict[str, Any],
        parent_run_id: str | None = None,
        initiator: str | None = None,
    ) -> None:
        """A run that this process keeps going. By default it is started by who `initiated_by` says, in this thread.

        Raises AlreadyExists, and InvalidArgument for an input that has no JSON.
        """
        run = NewRun(
            run_id,
            dag_nsref,
            json_text(source_inputs),
            owner=self._lease.owner,
            parent_run_id=parent_run_id,
            initiated_by=run_initiator.get() if initiator is None else initiator,
        )

        def create(tx: Transaction) -> None:
            self._lease.hold(tx)
            if not runs.create(tx, run):
                raise AlreadyExists(f"run {run_id!r} exists: choose another run_id")

        self._file.write(create)

    def update_run_status(self, run_id: str, status: str) -> None:
        """A run that is set to `running` is this process's from now on."""

        def update(tx: Transaction) -> None:
            if status == "running":
                self._lease.hold(tx)
                owners.take(tx, run_id, owner=self._lease.owner)
            else:
                runs.set_status(tx, run_id, status)

        self._file.write(update)

    def finish_run(self, run_id: str, status: str, sink_outputs_json: str | None = None) -> None:
        self._file.write(lambda tx: runs.finish(tx, run_id, status=status, outputs_json=sink_outputs_json))

    def record_node_start(
        self, run_id: str, node_label: str, input_json: str, is_source: bool = False, is_sink: bool = False
    ) -> None:
        """A node that is started again loses what was recorded of it."""
        self._file.write(
            lambda tx: nodes.start(tx, run_id, node_label, input_json=input_json, is_source=is_source, is_sink=is_sink)
        )

    def record_node_skipped(self, run_id: str, node_label: str, output_json: str) -> None:
        """A node that was not run, because another run has its output."""
        self._file.write(lambda tx: nodes.skip(tx, run_id, node_label, output_json=output_json))

    def complete_node_with_edges(
        self, run_id: str, node_label: str, output_json: str, edges: list[tuple[str, str]]
    ) -> None:
        """`edges` are pairs of labels: from where to where the output went."""
        self._file.write(lambda tx: nodes.complete(tx, run_id, node_label, output_json=output_json, edges=edges))

    def fail_node_and_finish_run(self, run_id: str, node_label: str, error: str) -> None:
        def fail(tx: Transaction) -> None:
            nodes.fail(tx, run_id, node_label, error=error)
            runs.finish(tx, run_id, status="failed", outputs_json=None)

        self._file.write(fail)

    @property
    def records(self) -> bool:
        return True

    def record(self, changes: Sequence[Change]) -> None:
        """All of the changes or, when one of them raises, none. Raises what they say they do, and Conflict for a run
        that another process has taken.
        """
        self._file.write(lambda tx: recording.record(tx, changes, lease=self._lease))

    async def arecord(self, changes: Sequence[Change], *, durable: bool = True) -> None:
        """`record` for the event loop. Changes that are not durable outlive this process at once; a cut of power may
        take them until the next ones that are, or for a tenth of a second.
        """
        body = partial(recording.record, changes=changes, lease=self._lease)
        await (self._file.awrite(body) if durable else self._file.acommit(body, brief=are_brief(changes)))

    async def aread(self, read: "Callable[[DagProvenance], T]") -> T:
        """Read on a thread, for the event loop: `await provenance.aread(lambda history: history.get_run(run_id))`."""
        return await self._file.on_thread(lambda: read(self))

    def prune(self, keep: timedelta | int) -> int:
        """Remove runs that ended longer ago than `keep`, or all but the newest `keep` runs; how many were removed.

        Each goes with the runs below it, which a number does not count; one that has not ended stays. Raises
        InvalidArgument.
        """
        return pruning.prune(self._file, keep)

    async def aprune(self, keep: timedelta | int) -> int:
        """`prune` for the event loop."""
        return await self._file.on_thread(lambda: self.prune(keep))
