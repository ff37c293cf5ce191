"""Whether a token is what it says: signed by its issuer, meant for us, and in force."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any

import jwt
from jwt import exceptions

from wingbeat.clock import Clock
from wingbeat.errors import Unauthenticated
from wingbeat.rpc.identity import MAX_SUBJECT
from wingbeat.rpc.run_tokens import OF_RUNS
from wingbeat.rpc.signing_keys import SigningKeys

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Those with a private key. With a shared secret, or none, whoever knows the public key could sign."""
REMEMBERED = 4096
"""Tokens that were found right and need not be checked again for a while."""
REMEMBERED_FOR = timedelta(minutes=5)
"""Then the key counts again that has signed it: its issuer may have withdrawn it."""


@dataclass(frozen=True, slots=True)
class Demands:
    """What a token must say."""

    issuer: str
    audience: str
    subject_claim: str = "sub"
    leeway: timedelta = timedelta(seconds=30)
    """How far the clock of the issuer may be off."""


class Tokens:
    def __init__(self, demands: Demands, keys: SigningKeys, clock: Clock) -> None:
        self._demands = demands
        self._keys = keys
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[str, float]] = OrderedDict()

    async def subject(self, token: str) -> str:
        """Of whom the token speaks. Raises Unauthenticated with the reason, Unavailable when no key can be read."""
        digest = sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is not None and self._clock().timestamp() < known[1]:
            return known[0]
        claims = await self._verified(token)
        subject = self._subject_of(claims)
        self._remember(digest, subject, claims)
        return subject

    async def _verified(self, token: str) -> Mapping[str, Any]:
        demands = self._demands
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
            key = await self._keys.find(key_id)
            if key is None:
                raise Unauthenticated(f"bearer token: {demands.issuer!r} has no key {key_id!r}")
            return jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                issuer=demands.issuer,
                audience=demands.audience,
                leeway=demands.leeway,
                options={"require": ["exp", "iss", "aud", demands.subject_claim]},
            )
        except exceptions.PyJWTError as error:
            raise Unauthenticated(f"bearer token: {self._reason(error)}") from error

    def _reason(self, error: exceptions.PyJWTError) -> str:
        match error:
            case exceptions.ExpiredSignatureError():
                return "it has expired; get a new one"
            case exceptions.InvalidAudienceError():
                return f"it is not meant for audience {self._demands.audience!r}"
            case exceptions.InvalidIssuerError():
                return f"it is not of issuer {self._demands.issuer!r}"
            case exceptions.InvalidAlgorithmError():
                return f"its algorithm is none of those trusted here: {', '.join(ALGORITHMS)}"
            case exceptions.InvalidSignatureError():
                return "its signature does not fit the key it names"
            case _:
                return str(error)

    def _subject_of(self, claims: Mapping[str, Any]) -> str:
        claim = self._demands.subject_claim
        subject = claims[claim]
        if not isinstance(subject, str) or not subject.strip():
            raise Unauthenticated(f"bearer token: its claim {claim!r} names nobody")
        if len(subject) > MAX_SUBJECT:
            raise Unauthenticated(f"bearer token: its claim {claim!r} has more than {MAX_SUBJECT} characters")
        if subject.strip().startswith(OF_RUNS):
            raise Unauthenticated(f"bearer token: its claim {claim!r} begins with {OF_RUNS!r}, as those of runs do")
        return subject.strip()

    def _remember(self, digest: bytes, subject: str, claims: Mapping[str, Any]) -> None:
        now = self._clock().timestamp()
        until = min(int(claims["exp"]) + self._demands.leeway.total_seconds(), now + REMEMBERED_FOR.total_seconds())
        self._known[digest] = (subject, until)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
