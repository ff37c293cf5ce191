"""Inputs as people type them -> literals, by the types that the task declares."""

from collections.abc import Callable, Sequence
from datetime import datetime

from flyteidl2.core import literals_pb2, types_pb2
from flyteidl2.task import common_pb2, task_definition_pb2

from wingbeat.core.cron_syntax import duration
from wingbeat.errors import InvalidArgument

_WORDS = {"true": True, "false": False}


def inputs(pairs: Sequence[tuple[str, str]], task: task_definition_pb2.TaskSpec) -> common_pb2.Inputs:
    """Raises InvalidArgument that names the input."""
    types = {each.key: each.value.type for each in task.task_template.interface.inputs.variables}
    unknown = [name for name, _ in pairs if name not in types]
    if unknown:
        raise InvalidArgument(f"the task has no input {unknown[0]!r}: it has {', '.join(types) or 'none'}")
    return common_pb2.Inputs(
        literals=[common_pb2.NamedLiteral(name=name, value=_literal(name, text, types[name])) for name, text in pairs]
    )


def _literal(name: str, text: str, kind: types_pb2.LiteralType) -> literals_pb2.Literal:
    read = _READERS.get(kind.simple) if kind.WhichOneof("type") == "simple" else None
    if read is None:
        raise InvalidArgument(
            f"input {name!r} is not a text, number, true or false, moment or duration: it cannot be given here"
        )
    try:
        return literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=read(text)))
    except (ValueError, OverflowError, KeyError):
        wanted = types_pb2.SimpleType.Name(kind.simple).lower()
        raise InvalidArgument(f"input {name!r} is {text!r}: that is no {wanted}") from None


def _moment(text: str) -> literals_pb2.Primitive:
    primitive = literals_pb2.Primitive()
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("it has no offset")
    primitive.datetime.FromDatetime(moment)
    return primitive


def _duration(text: str) -> literals_pb2.Primitive:
    length = duration(text)
    if length is None:
        raise ValueError("it is none")
    primitive = literals_pb2.Primitive()
    primitive.duration.FromTimedelta(length)
    return primitive


_READERS: dict[int, Callable[[str], literals_pb2.Primitive]] = {
    types_pb2.INTEGER: lambda text: literals_pb2.Primitive(integer=int(text)),
    types_pb2.FLOAT: lambda text: literals_pb2.Primitive(float_value=float(text)),
    types_pb2.STRING: lambda text: literals_pb2.Primitive(string_value=text),
    types_pb2.BOOLEAN: lambda text: literals_pb2.Primitive(boolean=_WORDS[text.lower()]),
    types_pb2.DATETIME: _moment,
    types_pb2.DURATION: _duration,
}
