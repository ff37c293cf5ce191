"""What was typed for a DAG -> values, by the annotations of the parameters of its sources."""

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from wingbeat.cli.compose.refusals import in_one_line
from wingbeat.compose.dag_nodes import parameters
from wingbeat.compose.typed_text import typed, typed_json
from wingbeat.errors import InvalidArgument

if TYPE_CHECKING:
    from wingbeat.compose.namespace import Dag, DagNode


def read(dag: "Dag", pairs: Sequence[str], document: str | None) -> dict[str, Any]:
    """`pairs` are `NAME=VALUE`; the document is an object of values, or of such objects by the labels of sources.

    Raises InvalidArgument that names the input.
    """
    values = _from_json(dag, document) if document is not None else {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not name or not equals:
            raise InvalidArgument(f"--input {pair!r} is not of the form NAME=VALUE")
        values[name] = _typed(name, text, _annotation(dag, name), typed)
    return values


def _from_json(dag: "Dag", document: str) -> dict[str, Any]:
    try:
        found: object = json.loads(document)
    except ValueError as error:
        raise InvalidArgument(f"--inputs is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise InvalidArgument("--inputs is no JSON object of values by their names")
    sources = {source.label: source for source in dag.sources()}
    values: dict[str, Any] = {}
    for name, value in cast("dict[str, Any]", found).items():
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
