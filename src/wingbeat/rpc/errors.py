"""Our errors become Connect codes here and nowhere else; what we do not know reaches nobody but the log.

connectrpc sends the text of any exception to the client, so this interceptor stands around every method.
INTERNAL and UNAVAILABLE are retried by the SDK, and UNKNOWN makes it open a login page: no mistake of a
caller may end as one of them.
"""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import structlog
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.request import RequestContext

from wingbeat import errors
from wingbeat.rpc.streams import closing

REQ = TypeVar("REQ")
RES = TypeVar("RES")

INTERNAL_ERROR = "internal error"
REQUEST_ID = "x-request-id"

CODES: Mapping[type[errors.WingbeatError], Code] = {
    errors.InvalidArgument: Code.INVALID_ARGUMENT,
    errors.NotFound: Code.NOT_FOUND,
    errors.AlreadyExists: Code.ALREADY_EXISTS,
    errors.Conflict: Code.ABORTED,
    errors.FailedPrecondition: Code.FAILED_PRECONDITION,
    errors.PermissionDenied: Code.PERMISSION_DENIED,
    errors.Unauthenticated: Code.UNAUTHENTICATED,
    errors.Unimplemented: Code.UNIMPLEMENTED,
    errors.ResourceExhausted: Code.RESOURCE_EXHAUSTED,
    errors.Unavailable: Code.UNAVAILABLE,
}

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


def code_of(error: errors.WingbeatError) -> Code | None:
    """The code of the nearest kind the error belongs to; None for kinds that no caller can cause."""
    return errors.nearest(error, CODES)


class Translating:
    """Interceptor. Cancellation passes untouched."""

    async def intercept_unary(
        self,
        call_next: Callable[[REQ, RequestContext[REQ, RES]], Awaitable[RES]],
        request: REQ,
        ctx: RequestContext[REQ, RES],
    ) -> RES:
        with _translation(ctx):
            return await call_next(request, ctx)

    async def intercept_server_stream(
        self,
        call_next: Callable[[REQ, RequestContext[REQ, RES]], AsyncIterator[RES]],
        request: REQ,
        ctx: RequestContext[REQ, RES],
    ) -> AsyncIterator[RES]:
        with _translation(ctx):
            async with closing(call_next(request, ctx)) as stream:
                async for message in stream:
                    yield message

    intercept_bidi_stream = intercept_server_stream


@contextmanager
def _translation(ctx: RequestContext[Any, Any]) -> Generator[None]:
    try:
        yield
    except ConnectError:
        raise
    except errors.WingbeatError as error:
        code = code_of(error)
        if code is None:
            raise _internal(ctx, error) from error
        raise ConnectError(code, str(error)) from error
    except Exception as error:
        raise _internal(ctx, error) from error


def _internal(ctx: RequestContext[Any, Any], error: Exception) -> ConnectError:
    request_id = ctx.request_headers().get(REQUEST_ID) or uuid.uuid4().hex
    ctx.response_headers()[REQUEST_ID] = request_id
    log.error(
        "rpc failed unexpectedly",
        service=ctx.method().service_name,
        method=ctx.method().name,
        request_id=request_id,
        exc_info=error,
    )
    return ConnectError(Code.INTERNAL, INTERNAL_ERROR)
