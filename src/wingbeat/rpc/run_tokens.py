"""The tokens with which tasks call a server that reads tokens: signed by the servers of one database.

Nobody else checks them, so a shared secret signs them; those of people are never checked with it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jwt
from jwt.exceptions import PyJWTError

from wingbeat.clock import Clock
from wingbeat.core.ids import RunId
from wingbeat.errors import Unauthenticated

ALGORITHM = "HS256"
US = "wingbeat"
"""Issuer and audience."""
LIFETIME = timedelta(days=30)
"""Longer than an attempt may reasonably take: its token is not replaced. It is good no longer than its run, either."""


OF_RUNS = "run:"
"""With which the subjects of runs begin, and nobody else's."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a token says that is ours."""

    run: RunId
    issued_at: datetime


class RunTokens:
    def __init__(self, secret: bytes, clock: Clock) -> None:
        self._secret = secret
        self._clock = clock

    def issue(self, run: RunId) -> str:
        now = self._clock()
        claims = {"iss": US, "aud": US, "iat": now, "exp": now + LIFETIME, "sub": subject_of(run)}
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM)

    def read(self, token: str) -> Claim:
        """Raises Unauthenticated."""
        try:
            claims = jwt.decode(token, self._secret, algorithms=[ALGORITHM], issuer=US, audience=US)
        except PyJWTError as error:
            raise Unauthenticated(f"bearer token of a run: {error}") from error
        project, domain, name = claims["sub"].removeprefix(OF_RUNS).split("/")
        return Claim(RunId(project, domain, name), datetime.fromtimestamp(claims["iat"], UTC))


def is_of_run(token: str) -> bool:
    """Whether it claims to be one: its subject is to be believed only when it was checked."""
    try:
        return jwt.get_unverified_header(token).get("alg") == ALGORITHM
    except PyJWTError:
        return False


def subject_of(run: RunId) -> str:
    """Who it was when a task did it."""
    return f"{OF_RUNS}{run.project}/{run.domain}/{run.name}"
