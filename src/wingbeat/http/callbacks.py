"""Signals by address: POST of {"value": ...} to /callbacks/<project>/<domain>/<run>/<action>?since&signature.

The address itself is the permission, so nothing but a POST has an effect: who merely follows links signals nothing.
"""

import json
from typing import Any, NoReturn

from wingbeat.core.callback import Callbacks
from wingbeat.core.value import MAX_TEXT, Value
from wingbeat.errors import (
    Conflict,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
    WingbeatError,
    nearest,
)
from wingbeat.http.asgi import (
    ClientGoneError,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    parsed,
    send_response,
    text_response,
)
from wingbeat.operations import conditions
from wingbeat.store.database import Database

SIGNALLER = "wingbeat/callback"
"""Who has signalled, as the condition's details name it: whoever was given the address."""
MAX_BODY = 6 * MAX_TEXT + 1024
"""Bytes: JSON may write a character as six."""
STATUS: dict[type[WingbeatError], int] = {
    InvalidArgument: 400,
    PermissionDenied: 403,
    NotFound: 404,
    Conflict: 409,
    FailedPrecondition: 409,
    ResourceExhausted: 413,
    Unavailable: 503,
}


class CallbackEdge:
    """ASGI application, mounted at `core.callback.SEGMENT`; the whole path reaches it."""

    def __init__(self, database: Database, callbacks: Callbacks) -> None:
        self._database = database
        self._callbacks = callbacks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._answer(parsed(scope, receive))
        except ClientGoneError:
            return
        except WingbeatError as error:
            status = nearest(error, STATUS)
            if status is None:
                raise
            response = text_response(status, str(error))
        await send_response(send, response, head=scope["method"] == "HEAD")

    async def _answer(self, request: Request) -> Response:
        if request.method != "POST":
            return text_response(405, 'signal with a POST of {"value": ...}', {"allow": "POST"})
        given = request.parameters
        callback = self._callbacks.verified(
            request.path, since=given.get("since", ""), signature=given.get("signature", "")
        )
        value = _value(await request.body(limit=MAX_BODY))
        changed = await self._database.write(
            lambda tx: conditions.call_back(tx, callback.condition, value, since=callback.since, by=SIGNALLER)
        )
        return text_response(200, "signalled" if changed else "signalled before with the same value")


def _value(body: bytes) -> Value:
    """Raises InvalidArgument."""
    try:
        document: Any = json.loads(body, parse_constant=_refuse)
        value: Any = document["value"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InvalidArgument('the body must be JSON such as {"value": true}') from None
    if isinstance(value, bool | int | float | str):
        return value
    raise InvalidArgument("value must be true, false, a number or a text")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
