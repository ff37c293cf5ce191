"""Who calls. A header is believed only by its configured name: whoever configures it has a proxy that sets it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from connectrpc.request import RequestContext

from wingbeat.errors import InvalidArgument

MAX_SUBJECT = 256
"""Characters."""


@dataclass(frozen=True, slots=True)
class Caller:
    """`subject` is stable and opaque; "" is a caller nobody vouches for."""

    subject: str = ""


Identify = Callable[[RequestContext[Any, Any]], Caller]


def nobody(ctx: RequestContext[Any, Any]) -> Caller:
    """Without authentication in front of the server nobody is known."""
    return Caller()


def by_header(name: str) -> Identify:
    """Callers are who the header `name` says. InvalidArgument meets a call that carries it twice.

    A proxy that adds its header to the caller's own, in place of replacing it, would let callers choose who they are.
    """

    def identify(ctx: RequestContext[Any, Any]) -> Caller:
        values = ctx.request_headers().getall(name)
        if len(values) > 1:
            raise InvalidArgument(f"header {name!r} is there {len(values)} times: its proxy must replace what it finds")
        subject = values[0].strip() if values else ""
        if len(subject) > MAX_SUBJECT:
            raise InvalidArgument(f"header {name!r} has more than {MAX_SUBJECT} characters")
        return Caller(subject)

    return identify
