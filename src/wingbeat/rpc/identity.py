"""Who calls. Without authentication in front of the server nobody is known, and a header is believed only by name."""

from dataclasses import dataclass
from typing import Any

from connectrpc.request import RequestContext


@dataclass(frozen=True, slots=True)
class Caller:
    """`subject` is stable and opaque; "" is a caller nobody vouches for."""

    subject: str = ""


def caller(ctx: RequestContext[Any, Any], *, subject_header: str = "") -> Caller:
    """The caller by the header that a trusted proxy sets; "" trusts none."""
    return Caller(ctx.request_headers().get(subject_header, "") if subject_header else "")
