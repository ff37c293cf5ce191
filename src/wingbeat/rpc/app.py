"""All services as one ASGI application: between the HTTP server and a method lies what is listed in `build`."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from connectrpc.interceptor import BidiStreamInterceptor, ServerStreamInterceptor, UnaryInterceptor
from connectrpc.server import ConnectASGIApplication
from opentelemetry.trace import TracerProvider

from wingbeat.rpc.codecs import BoundedGzip, JsonCodec, ProtoCodec
from wingbeat.rpc.deadlines import Deadlines
from wingbeat.rpc.draining import Draining
from wingbeat.rpc.errors import Translating
from wingbeat.rpc.generated import Endpoint
from wingbeat.rpc.measuring import Measuring
from wingbeat.rpc.service import promised
from wingbeat.rpc.tracing import Tracing
from wingbeat.rpc.transport import Admit, Guarded, Receive, Scope, Send
from wingbeat.rpc.unstorable import NamingUnstorable
from wingbeat.rpc.validation import Validating
from wingbeat.telemetry import Metrics

Interceptor = UnaryInterceptor | ServerStreamInterceptor | BidiStreamInterceptor

MAX_MESSAGE_BYTES = 32 * 1024 * 1024
"""Inputs are at most 10 MB inline by the SDK's default; a task's spec may carry its image's cache key beside them."""

ENVELOPE_BYTES = 5


class RpcApp:
    """ASGI application; what it does not serve is 404, which Connect clients read as UNIMPLEMENTED."""

    def __init__(self, app: Guarded, services: frozenset[str]) -> None:
        self._app = app
        self.services = services
        """First path segments, such as `flyteidl2.trigger.TriggerService`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


class _AllServices(ConnectASGIApplication[None]):
    @property
    def path(self) -> str:
        return ""


def build(
    services: Sequence[object],
    *,
    draining: Draining,
    metrics: Metrics,
    traces: TracerProvider | None = None,
    interceptors: Sequence[Interceptor] = (),
    admit: Admit | None = None,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
) -> RpcApp:
    """Mount service objects, each a subclass of one generated class of flyteidl2.

    `interceptors` run with errors translated and deadlines kept, before validation: the place of authentication. Bodies
    are read by then: of callers whom `admit` refuses, only small ones.
    Raises ValueError when two services serve the same path.
    """
    endpoints = _endpoints(services)
    outermost: list[Interceptor] = [Measuring(metrics), Translating(), Deadlines(), draining]
    if traces is not None:
        outermost.insert(0, Tracing(traces))
    app = _AllServices(
        service=None,
        endpoints=lambda _: cast("Mapping[str, Any]", endpoints),
        interceptors=[*outermost, *interceptors, NamingUnstorable(), Validating()],
        read_max_bytes=max_message_bytes,
        compressions=[BoundedGzip(max_message_bytes)],
        codecs=[ProtoCodec(), JsonCodec()],
    )
    guarded = Guarded(cast("Any", app), max_body_bytes=max_message_bytes + ENVELOPE_BYTES, admit=admit)
    return RpcApp(guarded, frozenset(path.split("/")[1] for path in endpoints))


def _endpoints(services: Sequence[object]) -> Mapping[str, Endpoint]:
    endpoints: dict[str, Endpoint] = {}
    for service in services:
        for path, endpoint in promised(service).items():
            if path in endpoints:
                raise ValueError(f"{path} is served twice")
            endpoints[path] = endpoint
    return endpoints
