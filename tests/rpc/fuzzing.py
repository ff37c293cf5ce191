"""Requests made from descriptors alone: sensible, with something wild in them. The same seed, the same request."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

DEEPEST = 7
"""Literals and types hold themselves: below this, messages stay empty."""
MANY = 120
"""Elements of a list that is too long for most."""

WILD_TEXT: Sequence[str] = (
    "",
    " ",
    "\x00",
    "a\x00b",
    "\n",
    "\u202e\ufeff\U0001f426",
    "é" * 64,
    "x" * 64,
    "x" * 300,
    "x" * 200_000,
    "..",
    "../../../etc/passwd",
    "file:///etc/passwd",
    "s3://wingbeat/../../x",
    "s3://",
    "%s%n%d",
    "{0.__class__}",
    "'; DROP TABLE run; --",
    "%_%",
    "9" * 40,
    "-1",
    "NaN",
    "TZ=UTC",
    "CRON_TZ=Nowhere/Land 0 0 * * *",
    "0 0 31 2 *",
    "* * * * * * *",
    "P1D",
    "1h30",
    "{{.inputs.x}}",
    "null",
)
WILD_BYTES: Sequence[bytes] = (b"", b"\x00", b"\xff" * 16, b"\x0a\xff", b"x" * 100_000)
WILD_FLOATS: Sequence[float] = (math.nan, math.inf, -math.inf, -0.0, 1e308, 5e-324)
_SIGNED_32, _SIGNED_64 = 2**31, 2**63
_INTEGERS: Mapping[int, tuple[int, int]] = {
    FieldDescriptor.CPPTYPE_INT32: (-_SIGNED_32, _SIGNED_32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-_SIGNED_64, _SIGNED_64 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2 * _SIGNED_32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2 * _SIGNED_64 - 1),
}
_SENSIBLE_SECONDS: Mapping[str, int] = {"google.protobuf.Timestamp": 1_767_225_600, "google.protobuf.Duration": 60}

Sensible = Callable[[FieldDescriptor], Any]
"""What a field usually holds, by its full name; None: anything of its kind."""


class Fuzzer:
    """`wildness` is the chance of each value to be one that nobody should send."""

    def __init__(self, seed: str, sensible: Sensible, *, wildness: float) -> None:
        self._random = random.Random(seed)
        self._sensible = sensible
        self._wildness = wildness

    def message(self, descriptor: Descriptor, depth: int = 0) -> Message:
        message = GetMessageClass(descriptor)()
        chosen = {oneof.name: self._random.choice(oneof.fields) for oneof in descriptor.oneofs if oneof.fields}
        for field in descriptor.fields:
            if field.containing_oneof is not None and chosen[field.containing_oneof.name] is not field:
                continue
            if self._random.random() < 0.15 + 0.1 * depth:
                continue
            self._fill(message, field, depth)
        return message

    def _fill(self, message: Message, field: FieldDescriptor, depth: int) -> None:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            self._fill_map(message, field, depth)
        elif field.is_repeated:
            count = MANY if self._wild() and depth < 2 else self._random.randint(0, 2)
            for _ in range(count):
                self._add(getattr(message, field.name), field, depth)
        elif field.message_type is not None:
            if depth < DEEPEST:
                getattr(message, field.name).CopyFrom(self._nested(field.message_type, depth))
        else:
            setattr(message, field.name, self._scalar(field))

    def _fill_map(self, message: Message, field: FieldDescriptor, depth: int) -> None:
        key, value = _part(field, "key"), _part(field, "value")
        entries = getattr(message, field.name)
        for _ in range(self._random.randint(0, 2)):
            if value.message_type is None:
                entries[self._scalar(key)] = self._scalar(value)
            elif depth < DEEPEST:
                entries[self._scalar(key)].CopyFrom(self._nested(value.message_type, depth))

    def _add(self, values: Any, field: FieldDescriptor, depth: int) -> None:
        if field.message_type is None:
            values.append(self._scalar(field))
        elif depth < DEEPEST:
            values.append(self._nested(field.message_type, depth))

    def _nested(self, descriptor: Descriptor, depth: int) -> Message:
        if descriptor.full_name in _SENSIBLE_SECONDS:
            return self._time(descriptor)
        return self.message(descriptor, depth + 1)

    def _time(self, descriptor: Descriptor) -> Message:
        if not self._wild():
            return GetMessageClass(descriptor)(seconds=_SENSIBLE_SECONDS[descriptor.full_name])
        seconds = self._random.choice([0, -1, -62_135_596_801, 253_402_300_800, _SIGNED_64 - 1, -_SIGNED_64])
        return GetMessageClass(descriptor)(seconds=seconds, nanos=self._random.choice([0, -1, 999_999_999, 2**31 - 1]))

    def _scalar(self, field: FieldDescriptor) -> Any:
        if self._wild():
            return self._wild_scalar(field)
        known = self._sensible(field)
        return self._plain_scalar(field) if known is None else known

    def _plain_scalar(self, field: FieldDescriptor) -> Any:
        match field.cpp_type:
            case FieldDescriptor.CPPTYPE_STRING:
                return b"bytes" if field.type == FieldDescriptor.TYPE_BYTES else "word"
            case FieldDescriptor.CPPTYPE_BOOL:
                return self._random.random() < 0.5
            case FieldDescriptor.CPPTYPE_ENUM:
                return self._random.choice(cast("EnumDescriptor", field.enum_type).values).number
            case FieldDescriptor.CPPTYPE_FLOAT | FieldDescriptor.CPPTYPE_DOUBLE:
                return 1.5
            case _:
                return 1

    def _wild_scalar(self, field: FieldDescriptor) -> Any:
        match field.cpp_type:
            case FieldDescriptor.CPPTYPE_STRING:
                return self._random.choice(WILD_BYTES if field.type == FieldDescriptor.TYPE_BYTES else WILD_TEXT)
            case FieldDescriptor.CPPTYPE_BOOL:
                return True
            case FieldDescriptor.CPPTYPE_ENUM:
                return self._random.choice([0, 9999, -1])
            case FieldDescriptor.CPPTYPE_FLOAT | FieldDescriptor.CPPTYPE_DOUBLE:
                return self._random.choice(WILD_FLOATS)
            case kind:
                least, most = _INTEGERS[kind]
                return self._random.choice([0, least, most])

    def _wild(self) -> bool:
        return self._random.random() < self._wildness


def _part(field: FieldDescriptor, name: str) -> FieldDescriptor:
    """The key or the value of a map."""
    return cast("Descriptor", field.message_type).fields_by_name[name]
