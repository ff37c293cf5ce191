"""/metrics, for Prometheus to read."""

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from wingbeat.http.asgi import Receive, Response, Scope, Send, send_response


class Exposition:
    """ASGI application that writes down what a registry holds."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await send_response(send, Response(405, {"allow": "GET, HEAD"}))
            return
        body = generate_latest(self._registry)
        response = Response(200, {"content-type": CONTENT_TYPE_LATEST}, body)
        await send_response(send, response, head=scope["method"] == "HEAD")
