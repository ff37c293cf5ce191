"""One span per RPC, a child of the caller's. Mounted only when traces are configured: an idle span costs too."""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

from connectrpc.errors import ConnectError
from connectrpc.request import RequestContext
from opentelemetry import propagate
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider, use_span

from wingbeat.rpc.streams import closing

REQ = TypeVar("REQ")
RES = TypeVar("RES")

SYSTEM = "connect_rpc"


class Tracing:
    """Interceptor; stands around the translation of errors, so that it sees codes."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("wingbeat.rpc")

    async def intercept_unary(
        self,
        call_next: Callable[[REQ, RequestContext[REQ, RES]], Awaitable[RES]],
        request: REQ,
        ctx: RequestContext[REQ, RES],
    ) -> RES:
        with self._span(ctx) as span, use_span(span, record_exception=False, set_status_on_exception=False):
            return await call_next(request, ctx)

    async def intercept_server_stream(
        self,
        call_next: Callable[[REQ, RequestContext[REQ, RES]], AsyncIterator[RES]],
        request: REQ,
        ctx: RequestContext[REQ, RES],
    ) -> AsyncIterator[RES]:
        # Not made the current span: a generator cannot keep a context variable set over its yields.
        with self._span(ctx):
            async with closing(call_next(request, ctx)) as stream:
                async for message in stream:
                    yield message

    intercept_bidi_stream = intercept_server_stream

    @contextmanager
    def _span(self, ctx: RequestContext[Any, Any]) -> Generator[Span]:
        method = ctx.method()
        span = self._tracer.start_span(
            f"{method.service_name}/{method.name}",
            context=propagate.extract(dict(ctx.request_headers().items())),
            kind=SpanKind.SERVER,
            attributes={"rpc.system": SYSTEM, "rpc.service": method.service_name, "rpc.method": method.name},
        )
        try:
            yield span
        except ConnectError as error:
            span.set_attribute("rpc.connect_rpc.error_code", error.code.value)
            span.set_status(Status(StatusCode.ERROR, error.code.value))
            raise
        finally:
            span.end()
