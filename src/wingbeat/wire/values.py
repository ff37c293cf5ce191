"""Values that conditions are signalled with: payloads, literals and their types <-> core."""

from collections.abc import Mapping

from flyteidl2.core import literals_pb2, types_pb2
from flyteidl2.task import common_pb2
from flyteidl2.workflow import run_service_pb2

from wingbeat.core.value import Value, ValueType, type_of
from wingbeat.errors import InvalidArgument

OUTPUT = "o0"
"""What the SDK calls the first output of anything."""


def payload_value(payload: run_service_pb2.EventPayload) -> Value:
    """Raises InvalidArgument when there is none."""
    field = payload.WhichOneof("value")
    if field is None:
        raise InvalidArgument("payload is empty: set one of bool_value, int_value, float_value and string_value")
    return getattr(payload, field)


def literal_value(literal: literals_pb2.Literal) -> Value:
    """Raises InvalidArgument for what is no truth value, number or text."""
    primitive = literal.scalar.primitive
    match primitive.WhichOneof("value"):
        case "boolean":
            return primitive.boolean
        case "integer":
            return primitive.integer
        case "float_value":
            return primitive.float_value
        case "string_value":
            return primitive.string_value
        case _:
            raise InvalidArgument("value must be a boolean, an integer, a float or a string")


def literal(value: Value) -> literals_pb2.Literal:
    primitive = literals_pb2.Primitive()
    setattr(primitive, _FIELDS[type_of(value)], value)
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=primitive))


def outputs(value: Value) -> common_pb2.Outputs:
    """Of a signalled condition, as if it were a task."""
    return common_pb2.Outputs(literals=[common_pb2.NamedLiteral(name=OUTPUT, value=literal(value))])


def payload(value: Value) -> run_service_pb2.EventPayload:
    match value:
        case bool():
            return run_service_pb2.EventPayload(bool_value=value)
        case int():
            return run_service_pb2.EventPayload(int_value=value)
        case float():
            return run_service_pb2.EventPayload(float_value=value)
        case str():
            return run_service_pb2.EventPayload(string_value=value)


def literal_type(value_type: ValueType) -> types_pb2.LiteralType:
    return types_pb2.LiteralType(simple=types_pb2.SimpleType.Name(value_type.value))


_FIELDS: Mapping[ValueType, str] = {
    ValueType.BOOLEAN: "boolean",
    ValueType.INTEGER: "integer",
    ValueType.FLOAT: "float_value",
    ValueType.STRING: "string_value",
}
