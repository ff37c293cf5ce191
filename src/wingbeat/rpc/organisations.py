"""The organisation may be empty, against the rules of the protos: while a request is checked it has a name.

Nearly every request leaves it out, and to read what the validator says of that costs four times what its look costs.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

FIELDS = frozenset({"org", "organization"})
_NAME = "any"


@contextmanager
def named(request: Message) -> Generator[None]:
    """Every organisation of the request that is empty, except one that is chosen among others, has a name."""
    filled = list(_empty(request, _ways(request.DESCRIPTOR)))
    for message, name in filled:
        setattr(message, name, _NAME)
    try:
        yield
    finally:
        for message, name in filled:
            message.ClearField(name)


@dataclass(frozen=True, slots=True)
class _Way:
    """Where organisations are below a message."""

    own: tuple[str, ...]
    below: tuple[tuple[str, bool, "_Way"], ...]
    """Field, whether it is repeated, and what is below."""


@cache
def _ways(descriptor: Descriptor) -> _Way:
    return _way(descriptor, frozenset())


def _way(descriptor: Descriptor, above: frozenset[str]) -> _Way:
    above |= {descriptor.full_name}
    own = tuple(field.name for field in descriptor.fields if field.name in FIELDS and _is_plain_text(field))
    below: list[tuple[str, bool, _Way]] = []
    for field in descriptor.fields:
        holder = field.message_type
        # Types that hold themselves are literals and their like: no organisation is in them.
        if holder is None or holder.GetOptions().map_entry or holder.full_name in above:
            continue
        way = _way(holder, above)
        if way.own or way.below:
            below.append((field.name, field.is_repeated, way))
    return _Way(own, tuple(below))


def _is_plain_text(field: FieldDescriptor) -> bool:
    return field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated and field.containing_oneof is None


def _empty(message: Any, way: _Way) -> Iterator[tuple[Message, str]]:
    for name in way.own:
        if not getattr(message, name):
            yield message, name
    for name, repeated, further in way.below:
        if repeated:
            for each in getattr(message, name):
                yield from _empty(each, further)
        elif message.HasField(name):
            yield from _empty(getattr(message, name), further)
