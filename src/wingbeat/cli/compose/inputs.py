"""What was typed for a DAG -> values, by the annotations of the parameters of its sources."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from wingbeat.cli.compose.refusals import in_one_line
from wingbeat.compose.dag_nodes import parameters
from wingbeat.compose.typed_text import typed, typed_json
from wingbeat.errors import InvalidArgument

if TYPE_CHECKING:
    from wingbeat.compose.namespace import Dag, DagNode


def read(dag: "Dag", pairs: Sequence[tuple[str, str]], document: Mapping[str, Any] | None) -> dict[str, Any]:
    """`pairs` are names and texts; the document has values, or such documents by the labels of sources.

    Raises InvalidArgument that names the input, and ValueError for a DAG that is wrong.
    """
    dag.validate()
    values = _from_json(dag, document) if document is not None else {}
    for name, text in pairs:
        values[name] = _typed(name, text, _annotation(dag, name), typed)
    return values


def _from_json(dag: "Dag", document: Mapping[str, Any]) -> dict[str, Any]:
    sources = {source.label: source for source in dag.sources()}
    values: dict[str, Any] = {}
    for name, value in document.items():
        if name in sources and isinstance(value, dict):
            known = _annotations(sources[name])
            given = cast("dict[str, Any]", value)
            values[name] = {each: _typed(each, inner, known.get(each), typed_json) for each, inner in given.items()}
        else:
            values[name] = _typed(name, value, _annotation(dag, name), typed_json)
    return values


def _annotation(dag: "Dag", name: str) -> Any:
    found = [known[name] for source in dag.sources() if name in (known := _annotations(source))]
    if not found:
        names = sorted({each for source in dag.sources() for each in parameters(source)})
        raise InvalidArgument(f"nothing takes {name!r}: the sources of the DAG take {', '.join(names) or 'nothing'}")
    if any(each != found[0] for each in found):
        raise InvalidArgument(f"several sources take {name!r}, of different types: use --inputs with their labels")
    return found[0]


def _annotations(source: "DagNode") -> dict[str, Any]:
    names = parameters(source)
    return {each.name: each.annotation for each in source.ns_node.method.args if each.name in names}


def _typed(name: str, given: Any, annotation: Any, read_as: Callable[[Any, Any], Any]) -> Any:
    try:
        return read_as(given, annotation)
    except ValueError as error:
        kind = getattr(annotation, "__name__", annotation)
        raise InvalidArgument(f"input {name!r} is {given!r}, which is no {kind}: {in_one_line(error)}") from error
