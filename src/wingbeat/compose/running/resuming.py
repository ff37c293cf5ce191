"""Outputs that an earlier run left, as the values they were: what need not run again."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from wingbeat.compose import graph
from wingbeat.compose.plans import Plan

_DONE = ("completed", "skipped")


def texts_left(plan: Plan, executions: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """By label, the outputs of nodes that are done and that the DAG still has."""
    return {
        each["node_label"]: each["output_json"]
        for each in executions
        if each["status"] in _DONE and each["output_json"] and each["node_label"] in plan.steps
    }


def texts_standing(plan: Plan, texts: Mapping[str, str], *, rerun: Collection[str]) -> dict[str, str]:
    """Without the nodes that run again: those asked for, those that have no output, and all that come after them.

    Raises ValueError for a node that the DAG has not.
    """
    if unknown := set(rerun).difference(plan.steps):
        raise ValueError(f"there is no node {', '.join(sorted(unknown))}: the DAG has {sorted(plan.steps)}")
    after = {label: step.after for label, step in plan.steps.items()}
    again = graph.behind([*rerun, *(label for label in plan.steps if label not in texts)], after=after)
    return {label: text for label, text in texts.items() if label not in again}


def values_left(plan: Plan, texts: Mapping[str, str]) -> dict[str, Any]:
    """Raises ValueError, which names the node, for an output that is not of its type any more, or no JSON at all."""
    return {label: _value(plan, label, text) for label, text in texts.items()}


def _value(plan: Plan, label: str, text: str) -> Any:
    try:
        return plan.steps[label].codec.decode(text)
    except ValueError as error:
        raise ValueError(f"the output of node {label!r} cannot be read: replay the run from there: {error}") from error
