"""Which part of the server answers: the first segment of the path decides, and parts keep their whole path."""

from collections.abc import Mapping

from wingbeat.http.asgi import App, Receive, Scope, Send, send_response, text_response


class Router:
    """ASGI application over others.

    `parts` by first segment: {"healthz": ..., "s3": ..., "flyteidl2.trigger.TriggerService": ...}.
    `otherwise` answers the rest, the web app's pages for one; without it they are 404.
    """

    def __init__(self, parts: Mapping[str, App], *, otherwise: App | None = None) -> None:
        self._parts = dict(parts)
        self._otherwise = otherwise or not_found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Not every target begins with a slash: that of OPTIONS may be *, that of CONNECT is a host.
        root, _, path = scope["path"].partition("/")
        part = None if root else self._parts.get(path.partition("/")[0])
        await (part or self._otherwise)(scope, receive, send)


async def not_found(scope: Scope, _receive: Receive, send: Send) -> None:
    await send_response(send, text_response(404, f"nothing is served at {scope['path']}"))
