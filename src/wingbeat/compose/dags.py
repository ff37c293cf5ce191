"""DAGs: callables as nodes, `>>` between them, other DAGs inside of nodes.

Its one rule: a Dag is checked before it runs; what is wrong in it is a ValueError that names the node.
"""

from collections.abc import Callable, Iterable
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from wingbeat.compose import graph
from wingbeat.compose.callables import name_of
from wingbeat.compose.composites import MOST_AT_ONCE, CallNode, MapNode, MapSwitchNode, SwitchNode
from wingbeat.compose.dag_nodes import made_by, source_inputs
from wingbeat.compose.decorators import marks_of
from wingbeat.compose.nodes import NamespaceNode
from wingbeat.compose.plans import Plan, planned
from wingbeat.compose.refs import NsRef
from wingbeat.compose.registry import Namespace
from wingbeat.compose.steps import DagEdge, DagNode, Seconds, StepOptions
from wingbeat.store.compose.texts import is_storable

if TYPE_CHECKING:
    from wingbeat.compose.dag_runner import DagRunResult


_Node = TypeVar("_Node", bound=DagNode)


class Dag:
    """A graph of nodes. `nodes` are by label; `namespace` has the callables that were given as such."""

    def __init__(self) -> None:
        self.nodes: dict[str, DagNode] = {}
        self.edges: list[DagEdge] = []
        self.namespace = Namespace()
        self.parent_namespace: Namespace | None = None
        """The one it is registered in: what is registered there replaces callables of the same place."""
        self._edges: dict[tuple[str, str], DagEdge] = {}
        self._plan: Plan | None = None

    def resolve(self, nsref: str | NsRef) -> NamespaceNode:
        """The node at this place: that of the namespace the Dag is registered in comes first. Raises KeyError."""
        registered = self.parent_namespace.find(nsref) if self.parent_namespace else None
        return registered or self.namespace.get(nsref)

    def node(
        self,
        source: "NamespaceNode | Callable[..., Any] | Dag",
        label: str | None = None,
        *,
        retries: int = 0,
        retry_delay: Seconds = 0.0,
        timeout: Seconds | None = None,
        cache: Seconds | None = None,
    ) -> DagNode:
        """Add a node; its label is the last part of the place of what it runs, unless said otherwise.

        A Dag, or a factory of one, becomes a node that runs it as one step. Seconds: the node is called again up to
        `retries` times when it raises or takes longer than `timeout`; for `cache` its output stands for equal inputs.
        Raises ValueError when the label is taken or something said is wrong, TypeError for a factory of something else.
        """
        options = StepOptions.checked(retries=retries, retry_delay=retry_delay, timeout=timeout, cache=cache)
        inner, name = self._inner(source)
        if inner is not None:
            if not (label or name):
                raise ValueError("label is required when passing a Dag to node()")
            return self._add(CallNode(inner, self._free(label or name), self), options)
        found = source if isinstance(source, NamespaceNode) else self._registered(source)
        return self._add(DagNode(found, self._free(label or found.nsref.name), self), options)

    def map(
        self,
        sub_dag: "Dag | SwitchNode | Callable[..., Any]",
        label: str | None = None,
        *,
        limit: int = MOST_AT_ONCE,
    ) -> MapNode | MapSwitchNode:
        """Add a node that runs a Dag, what a factory makes, or a switch, for each element of what comes before it.

        At most `limit` elements run at the same time. A switch moves out of this Dag and into the new node. Raises
        ValueError when the label is missing or taken, or the Dag has more than one source or sink.
        """
        if isinstance(sub_dag, SwitchNode):
            if self.nodes.get(sub_dag.label) is sub_dag:
                del self.nodes[sub_dag.label]
            switched = MapSwitchNode(sub_dag, self._free(label or sub_dag.label), self, limit=limit)
            return self._add(switched)
        inner, name = self._inner(sub_dag)
        if not (label or name):
            raise ValueError("label is required for map()")
        if inner is None:
            raise TypeError(f"map() takes a Dag, a @dag_factory or a switch, not {sub_dag!r}")
        return self._add(MapNode(inner, self._free(label or name), self, limit=limit))

    def switch(
        self, branches: "list[Dag | Callable[..., Any]] | dict[str, Dag | Callable[..., Any]]", label: str
    ) -> SwitchNode:
        """Add a node that runs the branch which the node before it names. Those of a list have their own names.

        Raises ValueError when a label is missing or taken twice, or a branch has more than one source or sink.
        """
        if not label:
            raise ValueError("label is required for switch()")
        named: Iterable[tuple[str, Any]] = (
            branches.items() if isinstance(branches, dict) else ((self._branch_name(each), each) for each in branches)
        )
        found: dict[str, Dag] = {}
        for name, branch in named:
            if name in found:
                raise ValueError(f"switch {label!r}: there are two branches {name!r}: give them as a dict")
            found[name] = self._branch(branch)
        return self._add(SwitchNode(found, self._free(label), self))

    def add_edge(self, upstream: DagNode, downstream: DagNode, *, order_only: bool = False) -> DagEdge:
        """What `>>` does; the same edge twice is one.

        Raises ValueError for a node that is not of this Dag, TypeError for what is no node.
        """
        for node in (upstream, downstream):
            self._check_end(node)
        ends = (upstream.label, downstream.label)
        if ends not in self._edges:
            self._edges[ends] = DagEdge(upstream=ends[0], downstream=ends[1], order_only=order_only)
            self.edges.append(self._edges[ends])
            self._plan = None
        return self._edges[ends]

    def validate(self) -> None:
        """Raise ValueError for a cycle, or for outputs that do not fit the parameters after them in exactly one way."""
        self.plan()

    def plan(self) -> Plan:
        """How it runs, made when it was changed. Raises what `validate` raises."""
        if self._plan is None or self._plan.is_outdated(self):
            self._plan = planned(self)
        return self._plan

    def topological_order(self) -> list[DagNode]:
        """Every node after those before it, by label where that leaves a choice; without those on a cycle."""
        before, after = graph.links((edge.upstream, edge.downstream) for edge in self.edges)
        return [self.nodes[label] for label in graph.ordered(self.nodes, before=before, after=after)]

    def sources(self) -> list[DagNode]:
        """The nodes that nothing comes before."""
        after_something = {edge.downstream for edge in self.edges}
        return [node for label, node in self.nodes.items() if label not in after_something]

    def sinks(self) -> list[DagNode]:
        """The nodes that nothing comes after: their outputs are those of a run."""
        before_something = {edge.upstream for edge in self.edges}
        return [node for label, node in self.nodes.items() if label not in before_something]

    async def __call__(self, **kwargs: Any) -> "DagRunResult":
        """Run it, recording nothing. Values go to the sources that have a parameter of the name.

        `{label: {parameter: value}}` is for one source. Raises ValueError when it is wrong, or nothing takes a value.
        """
        runners = import_module("wingbeat.compose.dag_runner")  # which imports this module
        return await runners.DagRunner(self).run(source_inputs=source_inputs(self, kwargs))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        """Check it, unless something else is wrong already."""
        if exc_type is None:
            self.validate()

    def _add(self, node: _Node, options: StepOptions | None = None) -> _Node:
        node.options = options or node.options
        self.nodes[node.label] = node
        self._plan = None
        return node

    def _check_end(self, node: object) -> None:
        if not isinstance(node, DagNode):
            raise TypeError(
                f"an edge joins two nodes, and {node!r} is none: write dag.node(...) for a callable or a Dag, and an"
                " edge for each of several nodes, such as a >> b and a >> c"
            )
        if self.nodes.get(node.label) is not node:
            raise ValueError(f"node {node.label!r} is not in this Dag: an edge joins two nodes of one Dag")

    def _free(self, label: str) -> str:
        if not is_storable(label):
            raise ValueError(f"label {label!r} has half of a surrogate pair, which no history can hold: replace it")
        if label in self.nodes:
            raise ValueError(f"Label {label!r} already exists in DAG: give this node a label of its own")
        return label

    def _registered(self, source: Callable[..., Any]) -> NamespaceNode:
        if not callable(source):
            raise TypeError(f"a node is a callable, a Dag or a node of a namespace, not {source!r}")
        return self.namespace.node_of(source)

    def _inner(self, source: object) -> "tuple[Dag | None, str]":
        """The Dag that this stands for and the name it brings along; None for a mere callable."""
        if isinstance(source, Dag):
            return source, ""
        if isinstance(source, NamespaceNode):
            return source.dag, source.nsref.name
        if callable(source) and marks_of(source).dag_factory:
            return made_by(source), name_of(source)
        return None, ""

    def _branch(self, source: object) -> "Dag":
        inner, _ = self._inner(source)
        if inner is not None:
            return inner
        if not callable(source):
            raise TypeError(f"a branch is a Dag, a @dag_factory or a callable, not {source!r}")
        branch = Dag()
        branch.node(source)
        return branch

    @staticmethod
    def _branch_name(source: object) -> str:
        if isinstance(source, Dag) or not callable(source):
            raise ValueError(f"{source!r} has no name to be a branch by: give the branches as a dict")
        return name_of(source)
