"""How a DAG runs: for each node what comes before and after it and where its inputs come from, worked out once.

Its one rule: a DAG that has a plan is right; whatever is wrong in one is found while it is planned.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from inspect import Parameter as Given
from inspect import signature
from typing import TYPE_CHECKING, Any

from wingbeat.compose import graph
from wingbeat.compose.callables import is_async
from wingbeat.compose.composite_fit import check_fed, check_result
from wingbeat.compose.composites import CompositeDagNode, check_single
from wingbeat.compose.contexts import DagContext
from wingbeat.compose.decorators import marks_of
from wingbeat.compose.nodes import NamespaceNode
from wingbeat.compose.steps import DagNode
from wingbeat.compose.values import Codec
from wingbeat.compose.wiring import Output, Parameter, Rest, Source, Whole, wire

if TYPE_CHECKING:
    from wingbeat.compose.dags import Dag

_ANY_NUMBER = (Given.VAR_POSITIONAL, Given.VAR_KEYWORD)


@dataclass(eq=False)
class Step:
    """A node as it runs."""

    node: DagNode
    before: tuple[str, ...]
    after: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    """Those that a value may be given for, without the context."""
    wiring: Mapping[str, Source]
    fed_by: str | None
    """For a composite, the node whose output it works on."""
    takes_any_keyword: bool
    by_position: tuple[tuple[str, Any], ...]
    """The parameters that take their values by position, with defaults: where they take none by name, as those of
    builtins, or come before `*args`.
    """
    spread: str | None
    """The name of `*args`."""
    context_type: type[DagContext] | None

    def __post_init__(self) -> None:
        self.label = self.node.label
        self.nsref = str(self.node.ns_node.nsref)
        self.names = tuple(each.name for each in self.parameters)
        self.required = tuple(each.name for each in self.parameters if each.required)
        self.edges = tuple((self.label, each) for each in self.after)
        self._kind: tuple[Callable[..., Any], bool] | None = None

    @cached_property
    def codec(self) -> Codec:
        """For its output."""
        node = self.node
        returned = node.returned() if isinstance(node, CompositeDagNode) else node.ns_node.method.return_annotation
        return Codec(returned)

    @cached_property
    def input_codecs(self) -> Mapping[str, Codec]:
        return {each.name: Codec(each.annotation) for each in self.parameters}

    def arguments(self, inputs: Mapping[str, Any]) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        """Those by position, and those by name."""
        if not self.by_position and self.spread is None:
            return (), inputs
        by_name = dict(inputs)
        last = by_name.pop(self.spread, ()) if self.spread else ()
        places = [place for place, (name, _) in enumerate(self.by_position, start=1) if name in inputs]
        count = len(self.by_position) if last else max(places, default=0)
        first = [by_name.pop(name, default) for name, default in self.by_position[:count]]
        return (*first, *last), by_name

    def stays_on_loop(self, target: Callable[..., Any]) -> bool:
        """Whether the target is called on the event loop, and not in a thread."""
        if self._kind is None or self._kind[0] is not target:
            self._kind = (target, is_async(target) or marks_of(target).inline)
        return self._kind[1]


@dataclass(frozen=True, slots=True)
class Plan:
    steps: Mapping[str, Step]
    """In the order of the graph."""
    sources: tuple[Step, ...]
    sinks: tuple[Step, ...]
    edges: int

    def is_outdated(self, dag: "Dag") -> bool:
        return len(dag.edges) != self.edges or len(dag.nodes) != len(self.steps)


def planned(dag: "Dag") -> Plan:
    """Raises ValueError: for a cycle, an edge of unknown nodes, a DAG within itself, WiringError for its inputs."""
    _check_nesting(dag, within=())
    unknown = {label for edge in dag.edges for label in (edge.upstream, edge.downstream)}.difference(dag.nodes)
    if unknown:
        raise ValueError(f"edges name the nodes {sorted(unknown)}, which are not in this Dag")
    before, after = graph.links((edge.upstream, edge.downstream) for edge in dag.edges)
    if found := graph.cycle(list(dag.nodes), before=before, after=after):
        raise ValueError(f"DAG contains a cycle: {' -> '.join([*found, found[0]])}")
    mute = {(edge.upstream, edge.downstream) for edge in dag.edges if edge.order_only}
    steps = {
        label: _step(dag, label, before=tuple(before.get(label, ())), after=tuple(after.get(label, ())), mute=mute)
        for label in graph.ordered(dag.nodes, before=before, after=after)
    }
    return Plan(
        steps,
        sources=tuple(step for step in steps.values() if not step.before),
        sinks=tuple(step for step in steps.values() if not step.after),
        edges=len(dag.edges),
    )


def _step(
    dag: "Dag", label: str, *, before: tuple[str, ...], after: tuple[str, ...], mute: set[tuple[str, str]]
) -> Step:
    node = dag.nodes[label]
    feeding = [each for each in before if (each, label) not in mute]
    if isinstance(node, CompositeDagNode):
        fed_by = _fed_by(node, feeding)
        check_fed(node, _returned(dag.nodes[fed_by]))
        return Step(
            node, before, after, (), {}, fed_by, takes_any_keyword=False, by_position=(), spread=None, context_type=None
        )
    parameters, by_position, rest = _parameters(node.ns_node)
    outputs = [Output(each, _returned(dag.nodes[each])) for each in feeding]
    wiring: Mapping[str, Source] = wire(label, parameters, outputs, rest) if before else {}
    for parameter in parameters:
        if isinstance(source := wiring.get(parameter.name), Whole):
            check_result(label, parameter, dag.nodes[source.label])
    context = node.ns_node.dag_context_type()
    return Step(
        node,
        before,
        after,
        parameters,
        wiring,
        fed_by=None,
        takes_any_keyword=rest.by_name is not None,
        by_position=by_position,
        spread=rest.by_position.name if rest.by_position else None,
        context_type=context,
    )


def _fed_by(node: CompositeDagNode, feeding: list[str]) -> str:
    for name, inner in node.inner().items():
        check_single(inner, f"node {node.label!r}: {name}")
        inner.validate()
    if len(feeding) != 1:
        raise ValueError(
            f"{type(node).__name__} {node.label!r} must have exactly one upstream edge, found {len(feeding)}: "
            "it works on the output of one node"
        )
    return feeding[0]


def _returned(node: DagNode) -> Any:
    """What wiring may know of its output: that of a composite is not told apart by type."""
    return None if isinstance(node, CompositeDagNode) else node.ns_node.method.return_annotation


def _parameters(ns_node: NamespaceNode) -> tuple[tuple[Parameter, ...], tuple[tuple[str, Any], ...], Rest]:
    """What values can be given for, which of it by position and with which default, and what takes the rest."""
    given = signature(ns_node.method.o).parameters
    args = ns_node.method.args[1:] if ns_node.expects_dag_context() else ns_node.method.args
    named = [arg for arg in args if given[arg.name].kind not in _ANY_NUMBER]
    any_number = {given[arg.name].kind: Parameter(arg.name, arg.annotation) for arg in args if arg not in named}
    rest = Rest(any_number.get(Given.VAR_POSITIONAL), any_number.get(Given.VAR_KEYWORD))
    placed = (Given.POSITIONAL_ONLY, Given.POSITIONAL_OR_KEYWORD) if rest.by_position else (Given.POSITIONAL_ONLY,)
    return (
        tuple(Parameter(arg.name, arg.annotation, required=not arg.is_optional) for arg in named),
        tuple((arg.name, given[arg.name].default) for arg in named if given[arg.name].kind in placed),
        rest,
    )


def _check_nesting(dag: "Dag", *, within: tuple["Dag", ...]) -> None:
    if any(dag is each for each in within):
        raise ValueError("a DAG runs itself in one of its nodes, which would never end")
    for node in dag.nodes.values():
        for inner in node.inner().values() if isinstance(node, CompositeDagNode) else ():
            _check_nesting(inner, within=(*within, dag))
