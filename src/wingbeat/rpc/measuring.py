"""Counts every RPC by service, method and code. The series are looked up once: a lookup costs more than a count."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.method import MethodInfo
from connectrpc.request import RequestContext

from wingbeat.rpc.streams import closing
from wingbeat.telemetry import Metrics

REQ = TypeVar("REQ")
RES = TypeVar("RES")

OK = "ok"
"""Connect has codes for failures only."""


class Measuring:
    """Interceptor; stands around the translation of errors, so that it sees codes."""

    def __init__(self, metrics: Metrics) -> None:
        self._calls = cache(metrics.rpc_calls.labels)
        self._seconds = cache(metrics.rpc_seconds.labels)
        self._streams = cache(metrics.rpc_streams.labels)

    async def intercept_unary(
        self,
        call_next: Callable[[REQ, RequestContext[REQ, RES]], Awaitable[RES]],
        request: REQ,
        ctx: RequestContext[REQ, RES],
    ) -> RES:
        with self._counted(ctx.method(), timed=True):
            return await call_next(request, ctx)

    async def intercept_server_stream(
        self,
        call_next: Callable[[REQ, RequestContext[REQ, RES]], AsyncIterator[RES]],
        request: REQ,
        ctx: RequestContext[REQ, RES],
    ) -> AsyncIterator[RES]:
        method = ctx.method()
        open_streams = self._streams(method.service_name, method.name)
        with self._counted(method, timed=False), open_streams.track_inprogress():
            async with closing(call_next(request, ctx)) as stream:
                async for message in stream:
                    yield message

    intercept_bidi_stream = intercept_server_stream

    @contextmanager
    def _counted(self, method: MethodInfo[Any, Any], *, timed: bool) -> Generator[None]:
        code, started = OK, time.perf_counter()
        try:
            yield
        except ConnectError as error:
            code = error.code.value
            raise
        except BaseException:
            code = Code.CANCELED.value
            raise
        finally:
            self._calls(method.service_name, method.name, code).inc()
            if timed:
                self._seconds(method.service_name, method.name, code).observe(time.perf_counter() - started)
