"""Pruning: proto <-> core, and tokens that say how far a pass over runs has come."""

import base64
import json
from typing import Any, cast

from wingbeat.core.ids import Scope
from wingbeat.core.pruning import BEGINNING, Ended
from wingbeat.errors import InvalidArgument

MAX_TOKEN_LENGTH = 1024


def token(reached: Ended | None) -> str:
    """Empty when there is nothing behind it."""
    if reached is None:
        return ""
    text = json.dumps([reached.scope.project, reached.scope.domain, reached.ended_at, reached.run])
    return base64.urlsafe_b64encode(text.encode()).decode()


def place(token: str) -> Ended:
    """The inverse of `token`; empty is the beginning. Raises InvalidArgument."""
    if not token:
        return BEGINNING
    match _content(token):
        case [str(project), str(domain), int(ended_at), str(run)] if 0 <= ended_at < 2**63:
            return Ended(Scope(project, domain), ended_at, run)
        case _:
            raise InvalidArgument(f"token {token[:40]!r} was not given out by this server: start again without a token")


def _content(token: str) -> list[Any] | None:
    if len(token) > MAX_TOKEN_LENGTH:
        return None
    try:
        content = json.loads(base64.b64decode(token, altchars="-_", validate=True))
    except (ValueError, RecursionError):
        return None
    return cast("list[Any]", content) if isinstance(content, list) else None
