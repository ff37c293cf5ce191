"""Inputs of a run: what the trigger was deployed with, then what the caller gave, then the task's own defaults.

Inputs are serialized flyteidl2.task.Inputs: literals by name, and a context of key and value.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from flyteidl2.core import literals_pb2
from flyteidl2.task import common_pb2

KICKOFF_KEY = "_u_kickoff_time_input_arg"
"""The context's key for the name of the input that the SDK's runtime fills with the run's start time."""


def merged(base: bytes | None, given: bytes | None) -> common_pb2.Inputs:
    """`base`, with what is in `given` in the place of what has the same name."""
    inputs = common_pb2.Inputs.FromString(base or b"")
    if given:
        _overlay(inputs, common_pb2.Inputs.FromString(given))
    return inputs


def fill_kickoff(inputs: common_pb2.Inputs, name: str, at: datetime) -> None:
    """Set the input to a moment, as a caller would, and leave nothing for the runtime to fill."""
    moment = literals_pb2.Literal()
    moment.scalar.primitive.datetime.FromDatetime(at)
    _set_literals(inputs, [common_pb2.NamedLiteral(name=name, value=moment)])
    _set_context(inputs, {pair.key: pair.value for pair in inputs.context if pair.key != KICKOFF_KEY})


def kickoff_arg(inputs: common_pb2.Inputs) -> str:
    """The input that the runtime will fill, or empty."""
    return next((pair.value for pair in inputs.context if pair.key == KICKOFF_KEY), "")


def add_defaults(inputs: common_pb2.Inputs, defaults: Sequence[common_pb2.NamedLiteral]) -> None:
    given = {literal.name for literal in inputs.literals}
    inputs.literals.extend(default for default in defaults if default.name not in given)


def completed(given: common_pb2.Inputs, defaults: Sequence[common_pb2.NamedLiteral]) -> common_pb2.Inputs:
    """A copy with the defaults of what is missing."""
    copy = common_pb2.Inputs()
    copy.CopyFrom(given)
    add_defaults(copy, defaults)
    return copy


def _overlay(inputs: common_pb2.Inputs, given: common_pb2.Inputs) -> None:
    marked = kickoff_arg(inputs)
    _set_literals(inputs, given.literals)
    context = {pair.key: pair.value for pair in [*inputs.context, *given.context]}
    # A value that the caller gave for the kickoff input wins over the runtime's, which would come later.
    if marked in {literal.name for literal in given.literals} and not kickoff_arg(given):
        del context[KICKOFF_KEY]
    _set_context(inputs, context)


def _set_literals(inputs: common_pb2.Inputs, literals: Iterable[common_pb2.NamedLiteral]) -> None:
    by_name = {literal.name: literal for literal in [*inputs.literals, *literals]}
    merged = common_pb2.Inputs(literals=by_name.values())
    inputs.ClearField("literals")
    inputs.literals.MergeFrom(merged.literals)


def _set_context(inputs: common_pb2.Inputs, context: Mapping[str, str]) -> None:
    inputs.ClearField("context")
    inputs.context.extend(literals_pb2.KeyValuePair(key=key, value=value) for key, value in context.items())
