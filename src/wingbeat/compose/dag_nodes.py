"""How a Dag is a node of a namespace: what it takes, and what a call of it runs.

Its one rule: Dags know namespaces; a namespace learns of Dags here, and not before it meets the first one.
"""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeGuard, cast

from wingbeat.compose.methods import Method

if TYPE_CHECKING:
    from wingbeat.compose.dags import Dag
    from wingbeat.compose.nodes import NamespaceNode
    from wingbeat.compose.registry import Namespace


def is_dag(c: object) -> "TypeGuard[Dag]":
    dags = sys.modules.get("wingbeat.compose.dags")
    return dags is not None and isinstance(c, dags.Dag)


def made_by(factory: Callable[[], Any]) -> "Dag":
    """The Dag that a factory makes; raises TypeError when it makes something else."""
    dag = factory()
    if not is_dag(dag):
        raise TypeError(f"@dag_factory {factory!r} must return a Dag and returned a {type(dag).__name__}")
    return dag


def around(node: "NamespaceNode", namespace: "Namespace") -> "Dag":
    """A Dag of this one node."""
    dag = import_module("wingbeat.compose.dags").Dag()
    dag.node(node)
    dag.parent_namespace = namespace
    return dag


def method_of(dag: "Dag", namespace: "Namespace", *, nsref: str) -> Method:
    """What a call of a registered Dag does: a run of it, recorded where the namespace is mounted."""

    async def run_dag(**kwargs: Any) -> Any:
        runner = import_module("wingbeat.compose.dag_runner").DagRunner(dag, provenance=namespace.provenance)
        return await runner.run(source_inputs=source_inputs(dag, kwargs), dag_nsref=nsref)

    return Method(run_dag, name=nsref)


def source_inputs(dag: "Dag", values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Values by the labels of sources: `{label: {parameter: value}}` as it is, others for every source that takes them.

    Raises ValueError for a DAG that is wrong, whose sources are not known, and for a value that no source takes.
    """
    found: dict[str, dict[str, Any]] = {}
    if not values:
        return found
    dag.validate()
    unused = set(values)
    for source in dag.sources():
        given = values.get(source.label)
        if isinstance(given, dict):
            found[source.label] = dict(cast("dict[str, Any]", given))
            unused.discard(source.label)
            continue
        taken = {name: values[name] for name in parameters(source) if name in values}
        unused -= taken.keys()
        if taken:
            found[source.label] = taken
    if unused:
        known = sorted({name for source in dag.sources() for name in parameters(source)})
        raise ValueError(f"nothing takes {', '.join(sorted(unused))}: the sources of the DAG take {known}")
    return found


def parameters(node: Any) -> list[str]:
    """The names of what a node of a Dag takes, without its context."""
    args = node.ns_node.method.args
    return [each.name for each in (args[1:] if node.ns_node.expects_dag_context() else args)]
