"""GET /wingbeat/config: what a client must know to use this server, its embedded storage included."""

import json
from collections.abc import Mapping

from wingbeat.http.asgi import Receive, Response, Scope, Send, send_response


class ClientConfiguration:
    """ASGI application; the fence before it keeps web pages out.

    Where anybody may call the API, its storage can be read and written by signed URLs anyway: keys give nothing more.
    """

    def __init__(self, *, url: str, project: str, domain: str, environment: Mapping[str, str]) -> None:
        """`environment` is what a client needs to open files of the storage by itself."""
        content = {"url": url, "project": project, "domain": domain, "environment": dict(environment)}
        self._body = json.dumps(content).encode()

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await send_response(send, Response(405, {"allow": "GET, HEAD"}))
            return
        headers = {"content-type": "application/json", "cache-control": "no-store"}
        await send_response(send, Response(200, headers, self._body), head=scope["method"] == "HEAD")
