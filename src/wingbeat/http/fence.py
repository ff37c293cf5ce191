"""Keeps web pages out: a browser lets any page send requests to a loopback address or a private network.

Three things tell a page from a program, and each must be right: the Host it called (a page that rebinds its own
name to our address sends its name), the Origin it comes from, and for requests without an Origin what the
browser says of them in Sec-Fetch-Site. Programs other than browsers send neither of the last two.
"""

import json
from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

from wingbeat.core.addresses import LOOPBACK_NAME, parsed
from wingbeat.http.asgi import App, Message, Receive, Response, Scope, Send, send_response

ANY = "*"
DEFAULT_PORTS = {"http": 80, "https": 443}
ALLOWED_METHODS = "GET, POST, PUT, DELETE, OPTIONS"
ALLOWED_HEADERS = (
    "Accept, Authorization, Content-Type, Content-MD5, Connect-Protocol-Version, Connect-Timeout-Ms, "
    "Grpc-Timeout, X-Grpc-Web, X-User-Agent, X-Request-Id"
)
EXPOSED_HEADERS = "Grpc-Status, Grpc-Message, Grpc-Status-Details-Bin, X-Request-Id"
PREFLIGHT_SECONDS = "7200"


class Fence:
    """ASGI middleware; refuses with 403 in the form of a Connect error, one line that says what to configure.

    `hosts`: the names under which the server is called, without ports; "*" is any. IP addresses and localhost
    need no entry: rebinding needs a name. `origins`: pages of other origins that may call, such as
    "https://console.example.org"; there is no "any".
    """

    def __init__(self, app: App, *, hosts: Collection[str] = (), origins: Collection[str] = ()) -> None:
        self._app = app
        self._hosts = frozenset(name.lower().rstrip(".") for name in hosts)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = _single(scope["headers"])
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await send_response(send, refusal)
            return
        origin = headers.get("origin", "").lower()
        if origin not in self._origins:
            await self._app(scope, receive, send)
        elif scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await send_response(send, _preflight(origin))
        else:
            await self._app(scope, receive, _sharing(send, origin))

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> Response | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return _forbidden(f"Host {host!r} is not served here: add it to the server's host names if it is yours")
        if "origin" in headers:
            return self._origin_refusal(headers["origin"], host)
        if headers.get("sec-fetch-site", "none") in ("none", "same-origin") or _is_visit(scope, headers):
            return None
        return _forbidden("requests by pages of another site are refused")

    def _origin_refusal(self, origin: str, host: str) -> Response | None:
        if origin.lower() in self._origins or _same_place(origin, host):
            return None
        return _forbidden(f"Origin {origin!r} is not allowed: add it to the server's allowed origins if it is yours")

    def _is_ours(self, host: str) -> bool:
        if ANY in self._hosts:
            return True
        name = _name(host)
        return name in self._hosts or name == LOOPBACK_NAME or parsed(name) is not None


def _single(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by name; a repeated one becomes a list, which is no legal Host or Origin."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _name(host: str) -> str:
    """A Host header without its port, in lower case; "" when it is no host."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _same_place(origin: str, host: str) -> bool:
    """Whether a page of `origin` was loaded from `host`; a proxy that ends TLS changes the scheme, so it may differ."""
    try:
        page = urlsplit(origin)
        ours = urlsplit(f"//{host}")
        default = DEFAULT_PORTS.get(page.scheme)
        return (
            page.hostname is not None
            and default is not None
            and (page.hostname, page.port or default) == (ours.hostname, ours.port or default)
        )
    except ValueError:
        return False


def _is_visit(scope: Scope, headers: dict[str, str]) -> bool:
    """A link that someone followed to a page of ours; the page it came from cannot read the answer."""
    return (
        scope["method"] == "GET"
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )


def _forbidden(message: str) -> Response:
    body = json.dumps({"code": "permission_denied", "message": message}).encode()
    return Response(403, {"content-type": "application/json"}, body)


def _preflight(origin: str) -> Response:
    return Response(
        204,
        {
            **_shared_with(origin),
            "access-control-allow-methods": ALLOWED_METHODS,
            "access-control-allow-headers": ALLOWED_HEADERS,
            "access-control-max-age": PREFLIGHT_SECONDS,
        },
    )


def _shared_with(origin: str) -> dict[str, str]:
    return {
        "access-control-allow-origin": origin,
        "access-control-expose-headers": EXPOSED_HEADERS,
        "vary": "Origin",
    }


def _sharing(send: Send, origin: str) -> Send:
    added = [(name.encode(), value.encode("latin-1")) for name, value in _shared_with(origin).items()]

    async def send_shared(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *added]
        await send(message)

    return send_shared
