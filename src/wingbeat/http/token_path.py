"""`/as/TOKEN/...` is `/...` with the token as bearer: for tasks, whose SDK shows no token where there is no TLS.

Nothing is checked here: whoever asks for tokens finds this one in the usual header, in place of what came with it.
"""

from wingbeat.http.asgi import App, Receive, Scope, Send

SEGMENT = "as"
_AUTHORIZATION = b"authorization"


def path_of(token: str) -> str:
    """Where a client calls that shows its token in the path; `token` is URL-safe as it is."""
    return f"/{SEGMENT}/{token}"


class TokenPath:
    """ASGI application over the one that is served without the prefix."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _, token, *_ = [*scope["path"].removeprefix("/").split("/", 2), ""]
        prefix = len(path_of(token))
        headers = [pair for pair in scope["headers"] if pair[0] != _AUTHORIZATION]
        inner = {
            **scope,
            "path": scope["path"][prefix:] or "/",
            "raw_path": scope["raw_path"][prefix:] or b"/",
            "headers": [*headers, (_AUTHORIZATION, f"Bearer {token}".encode())],
        }
        await self._app(inner, receive, send)
