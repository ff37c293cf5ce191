"""The errors a caller can cause or must handle, by what the caller can do about them.

The text of a `WingbeatError` is safe to show to a caller; the RPC edge maps each kind to one wire code.
"""

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


class WingbeatError(Exception):
    """Base of every error whose message is meant for the caller."""


class InvalidArgument(WingbeatError):
    """The request can never succeed as written; the message names the field, its value and what would be right."""


class Unstorable(InvalidArgument):
    """A value that no column holds: a text with a NUL character, a number beyond 63 bits and a sign."""


class NotFound(WingbeatError):
    """The named thing does not exist, or the caller may not see it."""


class AlreadyExists(WingbeatError):
    """The name is taken; what exists was left as it is."""


class Conflict(WingbeatError):
    """Someone else changed it first: read again and retry."""


class FailedPrecondition(WingbeatError):
    """The state of the thing forbids it now; repeating the call unchanged does not help."""


class PermissionDenied(WingbeatError):
    """The caller is known and may not do this."""


class Unauthenticated(WingbeatError):
    """The caller is not known."""


class Unimplemented(WingbeatError):
    """Not built yet; the message names what is missing."""


class ResourceExhausted(WingbeatError):
    """A limit was reached: try later, or ask for less."""


class Unavailable(WingbeatError):
    """A dependency is away for a moment: the same call may succeed later."""


class StartError(WingbeatError):
    """The server cannot start; one line says why and what to do."""


def nearest(error: WingbeatError, answers: Mapping[type[WingbeatError], T]) -> T | None:
    """The answer to the nearest kind that the error belongs to; None when there is none to any of them."""
    return next((answers[kind] for kind in type(error).__mro__ if kind in answers), None)
