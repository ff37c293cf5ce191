"""Whether what leads to a map or an inner DAG fits its source, and its result the node after it, by their annotations.

Its one rule: what may fit is let through; what never can is an error before anything runs.
"""

from typing import TYPE_CHECKING, Any, get_args, get_origin

from wingbeat.compose.composites import CallNode, CompositeDagNode, MapNode
from wingbeat.compose.steps import DagNode
from wingbeat.compose.type_fit import element_of, fits, is_known, is_nothing
from wingbeat.compose.wiring import Parameter, WiringError

if TYPE_CHECKING:
    from wingbeat.compose.plans import Step


def check_fed(node: CompositeDagNode, given: Any) -> None:
    """Raise WiringError for an output, annotated `given`, that the DAG in the node cannot take."""
    if isinstance(node, MapNode):
        if not any(_may_be(given, kind) for kind in (list, dict)):
            raise WiringError(f"node {node.label!r} needs a list or dict, and gets {given!r}")
        _check_source(node.label, _element(given), node.sub_dag.plan().sources[0])
    elif isinstance(node, CallNode):
        _check_source(node.label, given, node.sub_dag.plan().sources[0])


def check_result(label: str, parameter: Parameter, node: DagNode) -> None:
    """Raise WiringError when the result of a composite can never be what the parameter of the node after it is."""
    if not isinstance(node, MapNode | CallNode):
        return
    result = _result(node)
    if not is_nothing(result) and not _may_be(result, parameter.annotation):
        raise WiringError(
            f"node {label!r}: parameter {parameter.name!r} is {parameter.annotation!r}, and the result of "
            f"{node.label!r} is {result!r}"
        )


def _check_source(label: str, given: Any, source: "Step") -> None:
    if not source.parameters or is_nothing(given):
        return
    first = source.parameters[0]
    if len(source.parameters) > 1 and is_known(given):
        if _may_be(given, dict[str, Any]):
            return
        if others := [name for name in source.required if name != first.name]:
            raise WiringError(
                f"node {label!r}: {source.label!r} needs {', '.join(map(repr, others))} as well, and gets {given!r}: "
                "give it a dict with its parameters"
            )
    if not _may_be(given, first.annotation):
        raise WiringError(
            f"node {label!r}: parameter {first.name!r} of {source.label!r} is {first.annotation!r}, and gets {given!r}"
        )


def _result(node: MapNode | CallNode) -> Any:
    """None where it is not known, as for what is perhaps a list, which a map joins."""
    sink = node.sub_dag.sinks()[0]
    returned = None if isinstance(sink, CompositeDagNode) else sink.ns_node.method.return_annotation
    if isinstance(node, CallNode) or not is_known(returned):
        return returned
    joined = element_of(returned)
    if joined is None and fits(list, returned):
        return None
    return list[joined or returned] | dict[str, returned]


def _element(annotation: Any) -> Any:
    if get_origin(annotation) is dict:
        return get_args(annotation)[1]
    return element_of(annotation)


def _may_be(given: Any, wanted: Any) -> bool:
    return fits(given, wanted) or fits(wanted, given)
