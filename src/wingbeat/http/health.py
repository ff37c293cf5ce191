"""Is the process alive, and may it be sent requests? Probes ask often: answers are short and never hang."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from wingbeat.errors import WingbeatError
from wingbeat.http.asgi import Receive, Response, Scope, Send, send_response, text_response

CHECK_SECONDS = 3.0

Check = Callable[[], Awaitable[None]]
"""Raises when what it looks at is not there; the text of a WingbeatError is shown to whoever asks."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


async def alive(scope: Scope, _receive: Receive, send: Send) -> None:
    """ASGI application for /healthz: 200 as long as the event loop turns."""
    await _answer(scope, send, text_response(200, "OK"))


class Readiness:
    """ASGI application for /readyz: 200, or 503 with the first check that failed, in the order given."""

    def __init__(self, checks: Mapping[str, Check], *, seconds: float = CHECK_SECONDS) -> None:
        self._checks = checks
        self._seconds = seconds

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        failure = await self._first_failure()
        await _answer(scope, send, text_response(503, failure) if failure else text_response(200, "OK"))

    async def _first_failure(self) -> str | None:
        for name, check in self._checks.items():
            try:
                await asyncio.wait_for(check(), self._seconds)
            except TimeoutError:
                return f"{name}: no answer within {self._seconds:g} s"
            except WingbeatError as error:
                return f"{name}: {error}"
            except Exception:
                log.exception("readiness check failed", check=name)
                return f"{name}: failed"
        return None


async def _answer(scope: Scope, send: Send, response: Response) -> None:
    if scope["method"] not in ("GET", "HEAD"):
        response = Response(405, {"allow": "GET, HEAD"})
    await send_response(send, response, head=scope["method"] == "HEAD")
