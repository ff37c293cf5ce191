"""`run` and `fire`: one run, now, in this process."""

import asyncio
import json
import signal
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from wingbeat.cli.compose import inputs
from wingbeat.cli.compose.documents import ComposeResult
from wingbeat.cli.compose.program import Program
from wingbeat.cli.compose.refusals import refusals
from wingbeat.compose.dag_nodes import source_inputs
from wingbeat.compose.dag_provenance import initiated_by, safe_json_dumps
from wingbeat.compose.dag_runner import DagRunner, DagRunResult
from wingbeat.errors import FailedPrecondition, NotFound

BY = "cli"
"""Who starts runs and changes triggers, as histories have it."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Given:
    """Inputs as they were typed."""

    pairs: Sequence[tuple[str, str]]
    document: Mapping[str, Any] | None

    @property
    def is_empty(self) -> bool:
        return not self.pairs and self.document is None


def run(program: Program, nsref: str, given: Given) -> ComposeResult:
    """Raises NotFound and InvalidArgument; a run that fails is a result."""
    with refusals():
        dag = program.namespace.get_as_dag(nsref)
        values = source_inputs(dag, inputs.read(dag, given.pairs, given.document))
        runner = DagRunner(dag, program.recorder)
        with initiated_by(BY):
            return _shown(_until_told(runner.run(values, dag_nsref=nsref)))


def fire(program: Program, trigger: str, given: Given) -> ComposeResult:
    """Raises FailedPrecondition for a trigger that is not active, NotFound, InvalidArgument, and Unavailable after its
    time-out.
    """
    manager = program.manager
    activation = manager.store.get_activation(trigger)
    if activation is None:
        raise NotFound(f"trigger {trigger!r} was never activated: wingbeat compose resume {trigger}")
    if activation["status"] != "active":
        raise FailedPrecondition(f"trigger {trigger!r} is {activation['status']}: wingbeat compose resume {trigger}")
    with refusals():
        dag = program.namespace.get_as_dag(activation["dag_nsref"])
        payload = None if given.is_empty else inputs.read(dag, given.pairs, given.document)
        with initiated_by(BY):
            return _shown(_until_told(manager.fire(trigger, payload)))


def _until_told(work: Coroutine[Any, Any, T]) -> T:
    """SIGTERM ends it like Ctrl-C: the run is cancelled, and that is recorded."""

    async def cancellable() -> T:
        task = asyncio.ensure_future(work)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await task

    try:
        return asyncio.run(cancellable())
    except asyncio.CancelledError as error:
        raise FailedPrecondition("the run was cancelled by SIGTERM") from error


def _shown(result: DagRunResult) -> ComposeResult:
    return ComposeResult(
        run=result.run_id,
        status=result.status,
        outputs={label: json.loads(safe_json_dumps(each)) for label, each in result.outputs.items()},
        failed_node=result.failed_node,
        error=result.error,
    )
