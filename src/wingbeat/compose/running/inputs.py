"""What goes into a node: values from outside for sources, outputs of the nodes before it for others."""

from collections.abc import Mapping
from typing import Any, cast

from wingbeat.compose.plans import Plan, Step
from wingbeat.compose.wiring import Gathered, Part, Whole

Inputs = Mapping[str, Mapping[str, Any]]
"""By the labels of sources, values by the names of parameters."""


def check_inputs(plan: Plan, given: Inputs) -> None:
    """Raise ValueError for values that no source takes, and for sources that lack one."""
    if unknown := set(given).difference(step.label for step in plan.sources):
        known = sorted(step.label for step in plan.sources)
        raise ValueError(f"there is no source {', '.join(sorted(unknown))}: the sources of the DAG are {known}")
    for step in plan.sources:
        values = given.get(step.label, {})
        unused = set(values).difference(step.names)
        if unused and not step.takes_any_keyword:
            raise ValueError(
                f"source {step.label!r} has no parameter {', '.join(sorted(unused))}: it has {list(step.names)}"
            )
        if missing := [name for name in step.required if name not in values]:
            raise ValueError(f"source {step.label!r} needs a value for {', '.join(missing)}")


def inputs_of(step: Step, outputs: Mapping[str, Any], given: Inputs) -> dict[str, Any]:
    """The arguments of a node. Raises KeyError or ValueError when an output has not the part that is wanted of it."""
    if not step.before:
        return dict(given.get(step.label, {}))
    found: dict[str, Any] = {}
    for name, source in step.wiring.items():
        match source:
            case Whole(label):
                found[name] = outputs[label]
            case Gathered(labels):
                found[name] = [outputs[label] for label in labels]
            case Part():
                _add_part(found, name, source, outputs[source.label])
    return found


def element_inputs(plan: Plan, element: Any) -> Inputs:
    """One value as the inputs of a DAG with one source: as its only parameter or argument, or a dict as several.

    Raises ValueError when it is not what the source takes.
    """
    (source,) = plan.sources
    names = source.names
    if source.spread and not names:
        return {source.label: {source.spread: [element]}}
    if len(names) == 1:
        inputs: Inputs = {source.label: {names[0]: element}}
    elif (names or source.takes_any_keyword) and isinstance(element, dict):
        inputs = {source.label: cast("dict[str, Any]", element)}
    elif source.takes_any_keyword and not names:
        raise ValueError(
            f"source {source.label!r} takes values by name: it needs a dict, not a {type(element).__name__}"
        )
    else:
        inputs = {source.label: {names[0]: element} if names else {}}
    check_inputs(plan, inputs)
    return inputs


def _add_part(found: dict[str, Any], name: str, part: Part, output: Any) -> None:
    if isinstance(part.key, str) and part.key not in output:
        if part.required:
            raise KeyError(f"the output of {part.label!r} has no {part.key!r}, which this node needs: {sorted(output)}")
        return
    found[name] = output[part.key]
