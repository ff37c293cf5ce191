"""Nodes that run other DAGs: once, for each element of a collection, or the one that a value chooses.

Their one rule: a DAG inside of a node has one source, which gets the value, and one sink, whose output is the result.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wingbeat.compose.methods import Method
from wingbeat.compose.nodes import NamespaceNode
from wingbeat.compose.steps import DagNode
from wingbeat.compose.type_fit import any_of, element_of, is_known

if TYPE_CHECKING:
    from wingbeat.compose.dags import Dag

LabelSwitch = str
"""What a node before a switch returns first, in `(label, value)`, or under `__switch__`: the branch that runs."""
MOST_AT_ONCE = 32
"""How many elements of a map run at the same time when nothing else is said."""


class CompositeDagNode(DagNode):
    """A node that runs DAGs, with the output of the one node before it."""

    def __init__(self, label: str, dag: "Dag") -> None:
        method = Method(_nothing, name=label)
        node = NamespaceNode(method, nsref=f"__composite__:{label}", namespace=dag.namespace)
        super().__init__(node, label, dag)

    def inner(self) -> Mapping[str, "Dag"]:
        """The DAGs that it may run, by what distinguishes them in messages."""
        return {}

    def returned(self) -> Any:
        """The type of its result as far as its DAGs say it, None when one of them does not."""
        types: list[Any] = [dag.sinks()[0].ns_node.method.return_annotation for dag in self.inner().values()]
        return any_of(types) if types and all(map(is_known, types)) else None


class MapNode(CompositeDagNode):
    """Runs a DAG for each element of a list or dict; lists that the DAG returns for a list's elements are joined."""

    def __init__(self, sub_dag: "Dag", label: str, dag: "Dag", *, limit: int = MOST_AT_ONCE) -> None:
        check_single(sub_dag, "Sub-DAG")
        super().__init__(label, dag)
        self.sub_dag = sub_dag
        self.limit = checked_limit(limit)

    def inner(self) -> Mapping[str, "Dag"]:
        return {"Sub-DAG": self.sub_dag}

    def returned(self) -> Any:
        element = super().returned()
        if element is None:
            return None
        joined = element_of(element)
        return list[joined or element] | dict[str, element]


class CallNode(CompositeDagNode):
    """Runs a DAG as one step."""

    def __init__(self, sub_dag: "Dag", label: str, dag: "Dag") -> None:
        check_single(sub_dag, "Sub-DAG")
        super().__init__(label, dag)
        self.sub_dag = sub_dag

    def inner(self) -> Mapping[str, "Dag"]:
        return {"Sub-DAG": self.sub_dag}


class SwitchNode(CompositeDagNode):
    """Runs the branch whose label the node before it returns."""

    def __init__(self, branches: "dict[str, Dag]", label: str, dag: "Dag") -> None:
        for name, branch in branches.items():
            check_single(branch, f"Branch {name!r}")
        super().__init__(label, dag)
        self.branches = branches

    def inner(self) -> Mapping[str, "Dag"]:
        return {f"Branch {name!r}": branch for name, branch in self.branches.items()}


class MapSwitchNode(CompositeDagNode):
    """Runs, for each element of a list, the branch that the element chooses."""

    def __init__(self, switch_node: SwitchNode, label: str, dag: "Dag", *, limit: int = MOST_AT_ONCE) -> None:
        super().__init__(label, dag)
        self.switch_node = switch_node
        self.limit = checked_limit(limit)

    def inner(self) -> Mapping[str, "Dag"]:
        return self.switch_node.inner()

    def returned(self) -> Any:
        element = super().returned()
        return None if element is None or element_of(element) is not None else list[element]


def check_single(dag: "Dag", name: str) -> None:
    """Raise ValueError unless it has one source and one sink."""
    for kind, nodes in (("source", dag.sources()), ("sink", dag.sinks())):
        if len(nodes) != 1:
            raise ValueError(f"{name} must have exactly one {kind}, found {len(nodes)}")


def checked_limit(limit: int) -> int:
    if limit < 1:
        raise ValueError(f"limit is {limit}: it is how many elements run at the same time, 1 or more")
    return limit


def _nothing() -> None:
    """A composite has nothing to call; it is run by what it is."""
