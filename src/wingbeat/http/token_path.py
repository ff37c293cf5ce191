"""`/as/TOKEN/...` is `/...` with the token as bearer: for tasks, whose SDK shows no token where there is no TLS.

Nothing is checked here: whoever asks for tokens finds this one in the usual header, in place of what came with it.
"""

import re

from wingbeat.http.asgi import App, Receive, Scope, Send, send_response, text_response

SEGMENT = "as"
MAX_TOKEN = 8192
"""Characters: more than tokens of people have."""
_PREFIX = re.compile(rf"/{SEGMENT}/([A-Za-z0-9._~+=-]{{0,{MAX_TOKEN}}})(?=/|$)".encode())
_AUTHORIZATION = b"authorization"


def path_of(token: str) -> str:
    """Where a client calls that shows its token in the path; `token` is URL-safe as it is."""
    return f"/{SEGMENT}/{token}"


class TokenPath:
    """ASGI application over the one that is served without the prefix: only what asks for tokens belongs there."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _PREFIX.match(scope["raw_path"])
        if found is None:
            line = f"expected /{SEGMENT}/TOKEN/..., a token of URL-safe characters, at most {MAX_TOKEN}"
            await send_response(send, text_response(400, line))
            return
        headers = [pair for pair in scope["headers"] if pair[0] != _AUTHORIZATION]
        inner = {
            **scope,
            # What is matched is ASCII without escapes: it is as long decoded as it came.
            "path": scope["path"][found.end() :] or "/",
            "raw_path": scope["raw_path"][found.end() :] or b"/",
            "headers": [*headers, (_AUTHORIZATION, b"Bearer " + found[1])],
        }
        await self._app(inner, receive, send)
