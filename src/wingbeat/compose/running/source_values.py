"""What went into the sources of a run as JSON text and back, each value by the type of its parameter."""

import json
from collections.abc import Mapping
from typing import Any

from wingbeat.compose.plans import Plan
from wingbeat.compose.running.inputs import Inputs
from wingbeat.compose.values import Codec

_PLAIN = Codec()


def source_values_text(plan: Plan, inputs: Inputs) -> str:
    """Raises UnstorableValue, which names the parameter, for a value that could not be read back."""
    return _object(
        {
            label: _object({name: _text(plan, label, name, each) for name, each in values.items()})
            for label, values in inputs.items()
        }
    )


def source_values(plan: Plan, text: str | None) -> dict[str, dict[str, Any]]:
    """Those of sources that the DAG still has."""
    found: dict[str, dict[str, Any]] = {}
    for label, values in json.loads(text or "{}").items():
        if (step := plan.steps.get(label)) is not None:
            codecs = step.input_codecs
            found[label] = {name: codecs.get(name, _PLAIN).decode(json.dumps(each)) for name, each in values.items()}
    return found


def flat_codecs(plan: Plan) -> dict[str, Codec]:
    """Of the parameters of all sources, where a name says one thing: the label of a source may say another."""
    annotations: dict[str, Any] = {}
    codecs: dict[str, Codec] = {}
    unclear = {source.label for source in plan.sources}
    for source in plan.sources:
        for parameter in source.parameters:
            if annotations.setdefault(parameter.name, parameter.annotation) != parameter.annotation:
                unclear.add(parameter.name)
        codecs.update(source.input_codecs)
    return {name: codec for name, codec in codecs.items() if name not in unclear}


def _text(plan: Plan, label: str, name: str, value: Any) -> str:
    try:
        return plan.steps[label].input_codecs.get(name, _PLAIN).encode(value)
    except ValueError as error:
        raise type(error)(f"source {label!r}, parameter {name!r}: {error}") from error


def _object(texts: Mapping[str, str]) -> str:
    return "{" + ",".join(f"{json.dumps(key)}:{text}" for key, text in texts.items()) + "}"
