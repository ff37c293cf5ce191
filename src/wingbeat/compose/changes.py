"""What becomes of a run, step by step: the runner says it, a provenance remembers it.

Its one rule: changes that are given together are one transaction, in their order. Values are JSON text by then, so that
what cannot be written is known before anything is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

_FEW = 8
_LITTLE = 4_000
"""Letters of JSON."""
Ending: TypeAlias = Literal["completed", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class RunCreated:
    """The run is running, and is kept going by this process.

    Raises AlreadyExists for a run of this id that exists, unless it was perhaps made by this very change.
    """

    run_id: str
    dag_nsref: str
    source_inputs_json: str
    parent_run_id: str | None = None
    initiated_by: str | None = None
    trigger_name: str | None = None
    again: bool = False
    """Whether it may have been recorded already: nobody heard how that ended."""


@dataclass(frozen=True, slots=True)
class RunTaken:
    """A run that exists goes on, kept going by this process: its end is forgotten, its nodes stay.

    Raises FailedPrecondition when it is completed, or while a process that is alive keeps it going; NotFound.
    """

    run_id: str


@dataclass(frozen=True, slots=True)
class RunPaused:
    run_id: str


@dataclass(frozen=True, slots=True)
class RunFinished:
    """`error` says what went wrong outside of nodes too; it has the traceback when there is one."""

    run_id: str
    status: Ending
    outputs_json: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class NodeStarted:
    """A node that starts again loses what it had."""

    run_id: str
    node_label: str
    input_json: str
    is_source: bool = False
    is_sink: bool = False


@dataclass(frozen=True, slots=True)
class NodeCompleted:
    """`edges` are the pairs (upstream, downstream) along which the output goes; one that went before goes again."""

    run_id: str
    node_label: str
    output_json: str
    edges: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class NodeFailed:
    """The run is not over by this. `error` is the traceback."""

    run_id: str
    node_label: str
    error: str


@dataclass(frozen=True, slots=True)
class NodeSkipped:
    """It was not run: its output is that of another run."""

    run_id: str
    node_label: str
    output_json: str


Change: TypeAlias = (
    RunCreated | RunTaken | RunPaused | RunFinished | NodeStarted | NodeCompleted | NodeFailed | NodeSkipped
)


def are_brief(changes: Sequence[Change]) -> bool:
    """Whether writing them takes microseconds: a few nodes of a run that goes on, with little to say."""
    return len(changes) <= _FEW and all(map(_is_brief, changes))


def _is_brief(change: Change) -> bool:
    match change:
        case NodeStarted():
            return len(change.input_json) <= _LITTLE
        case NodeCompleted():
            return len(change.output_json) <= _LITTLE and len(change.edges) <= _FEW
        case _:
            return False


class Recorder(Protocol):
    """What a runner needs of a provenance."""

    @property
    def records(self) -> bool:
        """False when it forgets what it is told: nobody needs to write values as text for it."""
        ...

    async def arecord(self, changes: Sequence[Change], *, durable: bool = True) -> None:
        """Returns when they are on the disk, or else when they outlive this process, if not yet a cut of power.

        Raises, and records none of them, when one of them cannot be.
        """
        ...

    def get_run(self, run_id: str) -> dict[str, Any] | None: ...

    def get_node_executions(self, run_id: str) -> list[dict[str, Any]]: ...
