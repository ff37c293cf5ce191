"""Inputs as people type them."""

from typing import Any

import pytest
from flyteidl2.core import interface_pb2, tasks_pb2, types_pb2
from flyteidl2.task import task_definition_pb2
from google.protobuf import json_format

from wingbeat.cli.literals import inputs
from wingbeat.errors import InvalidArgument

TYPES = {
    "whole": types_pb2.LiteralType(simple=types_pb2.INTEGER),
    "real": types_pb2.LiteralType(simple=types_pb2.FLOAT),
    "text": types_pb2.LiteralType(simple=types_pb2.STRING),
    "flag": types_pb2.LiteralType(simple=types_pb2.BOOLEAN),
    "at": types_pb2.LiteralType(simple=types_pb2.DATETIME),
    "length": types_pb2.LiteralType(simple=types_pb2.DURATION),
    "many": types_pb2.LiteralType(collection_type=types_pb2.LiteralType(simple=types_pb2.INTEGER)),
}
TASK = task_definition_pb2.TaskSpec(
    task_template=tasks_pb2.TaskTemplate(
        interface=interface_pb2.TypedInterface(
            inputs=interface_pb2.VariableMap(
                variables=[
                    interface_pb2.VariableEntry(key=name, value=interface_pb2.Variable(type=kind))
                    for name, kind in TYPES.items()
                ]
            )
        )
    )
)


@pytest.mark.parametrize(
    ("name", "text", "primitive"),
    [
        ("whole", "-8", {"integer": "-8"}),
        ("real", "1.5", {"floatValue": 1.5}),
        ("text", "a=b", {"stringValue": "a=b"}),
        ("flag", "True", {"boolean": True}),
        ("at", "2026-01-31T12:00:00+01:00", {"datetime": "2026-01-31T11:00:00Z"}),
        ("length", "1h30m", {"duration": "5400s"}),
    ],
)
def test_a_word_becomes_what_the_task_declares(name: str, text: str, primitive: dict[str, Any]) -> None:
    (literal,) = inputs([(name, text)], TASK).literals
    assert literal.name == name
    assert json_format.MessageToDict(literal.value) == {"scalar": {"primitive": primitive}}


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("whole", "1.5", "input 'whole' is '1.5': that is no integer"),
        ("flag", "yes", "input 'flag' is 'yes': that is no boolean"),
        ("at", "2026-01-31T12:00:00", "that is no datetime"),
        ("length", "soon", "that is no duration"),
        ("many", "1", "input 'many' is not a text, number"),
        ("nobody", "1", "the task has no input 'nobody': it has whole, real"),
    ],
)
def test_a_word_that_does_not_fit_is_named(name: str, text: str, complaint: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        inputs([(name, text)], TASK)
    assert complaint in str(refused.value)
