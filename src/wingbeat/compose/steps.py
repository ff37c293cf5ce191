"""A node of a DAG and the edges between nodes: what runs, under which label, with which patience."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic import BaseModel

from wingbeat.compose.nodes import NamespaceNode

if TYPE_CHECKING:
    from wingbeat.compose.dags import Dag

Seconds = float | timedelta


class DagEdge(BaseModel):
    """`downstream` runs after `upstream`, and gets its output unless the edge is `order_only`."""

    upstream: str
    downstream: str
    order_only: bool = False


@dataclass(frozen=True, slots=True)
class StepOptions:
    """How often and how long a node is tried. Nothing of it is on by default."""

    retries: int = 0
    """How many times more it is called when it raises."""
    retry_delay: float = 0.0
    """Seconds before each of them."""
    timeout: float | None = None
    """Seconds that one call may take. A thread cannot be ended: what it still does then counts for nothing."""
    cache: float | None = None
    """Seconds for which an output stands for calls with equal inputs, in this process."""

    @classmethod
    def checked(
        cls, *, retries: int, retry_delay: Seconds, timeout: Seconds | None, cache: Seconds | None
    ) -> "StepOptions":
        """Raises ValueError for numbers that mean nothing."""
        if retries < 0:
            raise ValueError(f"retries is {retries}: it is how many times more a node is called, 0 or more")
        options = cls(retries, _seconds(retry_delay), _optional(timeout), _optional(cache))
        if options.retry_delay < 0:
            raise ValueError(f"retry_delay is {retry_delay}: it is seconds, 0 or more")
        for name, value in (("timeout", options.timeout), ("cache", options.cache)):
            if value is not None and not value > 0:
                raise ValueError(f"{name} is {value}: it is seconds, more than 0")
        return options


class DagNode:
    """A callable under a label that is its own in its DAG. The same callable may be there under several."""

    def __init__(self, ns_node: NamespaceNode, label: str, dag: "Dag", *, options: StepOptions | None = None) -> None:
        self.ns_node = ns_node
        self.label = label
        self.dag = dag
        self.options = options or StepOptions()

    def __rshift__(self, other: "DagNode") -> "DagNode":
        """Run `other` after this one, with its output. Returns `other`, so that chains can be written."""
        self.dag.add_edge(self, other)
        return other

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.label!r})"


def _seconds(value: Seconds) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else float(value)


def _optional(value: Seconds | None) -> float | None:
    return None if value is None else _seconds(value)
