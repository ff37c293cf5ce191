"""Values that no column holds are found by the database; here they get the name of their field, when it is too late.

A look at every request before its method runs would cost all of them for a mistake that hardly anybody makes.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

from connectrpc.request import RequestContext
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from wingbeat.errors import InvalidArgument, Unstorable
from wingbeat.rpc.streams import closing

REQ = TypeVar("REQ")
RES = TypeVar("RES")

LARGEST = 2**63 - 1
SHOWN_CHARACTERS = 60


class NamingUnstorable:
    """Interceptor of methods with one request."""

    async def intercept_unary(
        self,
        call_next: Callable[[REQ, RequestContext[REQ, RES]], Awaitable[RES]],
        request: REQ,
        ctx: RequestContext[REQ, RES],
    ) -> RES:
        with _naming(cast("Message", request)):
            return await call_next(request, ctx)

    async def intercept_server_stream(
        self,
        call_next: Callable[[REQ, RequestContext[REQ, RES]], AsyncIterator[RES]],
        request: REQ,
        ctx: RequestContext[REQ, RES],
    ) -> AsyncIterator[RES]:
        with _naming(cast("Message", request)):
            async with closing(call_next(request, ctx)) as stream:
                async for message in stream:
                    yield message


@contextmanager
def _naming(request: Message) -> Generator[None]:
    try:
        yield
    except Unstorable as error:
        fault = next(_faults(request, ""), None)
        raise InvalidArgument(fault or str(error)) from error


def _faults(message: Message, path: str) -> Iterator[str]:
    for field, value in message.ListFields():
        name = f"{path}{field.name}"
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            for key, entry in value.items():
                yield from _fault(key, name)
                yield from _fault(entry, f"{name}[{key!r}]")
        elif field.is_repeated:
            for index, entry in enumerate(value):
                yield from _fault(entry, f"{name}[{index}]")
        elif field.type != FieldDescriptor.TYPE_BYTES:
            yield from _fault(value, name)


def _fault(value: object, name: str) -> Iterator[str]:
    match value:
        case Message():
            yield from _faults(value, f"{name}.")
        case str() if "\x00" in value:
            yield f"{name} is {value[:SHOWN_CHARACTERS]!r}: a text with a NUL character cannot be stored"
        case int() if abs(value) > LARGEST:
            yield f"{name} is {value}: a number beyond {LARGEST} cannot be stored"
        case _:
            return
