"""Signed, expiring URLs of the directory backend: whoever has one may do one thing with one key for a while."""

import hashlib
import hmac
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import quote, urlencode

from wingbeat.clock import Clock
from wingbeat.errors import InvalidArgument, PermissionDenied

PATH = "/blobs/"
MAX_EXPIRY = timedelta(days=7)
"""The longest life of a signed URL, as in S3."""
MD5_SIZE = 16
MIN_SECRET_SIZE = 32

Method = Literal["GET", "PUT"]


@dataclass(frozen=True, slots=True)
class SigningKey:
    """At least 32 random bytes, the same for every replica."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) < MIN_SECRET_SIZE:
            raise ValueError(f"a signing key needs at least {MIN_SECRET_SIZE} bytes, not {len(self.secret)}")


@dataclass(frozen=True, slots=True)
class SignedUpload:
    url: str
    headers: Mapping[str, str]
    """What the client must send with its PUT."""


@dataclass(frozen=True, slots=True)
class Grant:
    method: Method
    key: str
    expires_at: int
    """Unix time in seconds; the URL is good before it, not at it."""
    md5: bytes | None = None
    """What an upload must hash to."""

    def query(self, signing: SigningKey) -> str:
        fields = {"expires": str(self.expires_at)}
        if self.md5 is not None:
            fields["md5"] = md5_text(self.md5)
        return urlencode(fields | {"signature": self._signature(signing)})

    def is_signed_by(self, signing: SigningKey, signature: str) -> bool:
        return hmac.compare_digest(self._signature(signing).encode(), signature.encode(errors="replace"))

    def _signature(self, signing: SigningKey) -> str:
        digest = hmac.new(signing.secret, digestmod=hashlib.sha256)
        for part in (self.method, self.key, str(self.expires_at), md5_text(self.md5 or b"")):
            data = part.encode()
            digest.update(len(data).to_bytes(4, "big") + data)
        return digest.hexdigest()


class OwnUrls:
    """Makes the URLs that `http.blobs` answers."""

    def __init__(self, signing: SigningKey, *, public_url: str, clock: Clock) -> None:
        self._signing = signing
        self._public_url = public_url
        self._clock = clock

    async def sign_get(self, key: str, expires: timedelta, *, public_url: str | None = None) -> str:
        grant = Grant("GET", key, self._expiry(expires))
        return self._url(grant, public_url)

    async def sign_put(
        self, key: str, expires: timedelta, *, content_md5: bytes | None = None, public_url: str | None = None
    ) -> SignedUpload:
        grant = Grant("PUT", key, self._expiry(expires), content_md5)
        headers = {"Content-MD5": md5_text(content_md5)} if content_md5 else {}
        return SignedUpload(self._url(grant, public_url), headers)

    def _expiry(self, expires: timedelta) -> int:
        return int((self._clock() + expires).timestamp())

    def _url(self, grant: Grant, public_url: str | None) -> str:
        base = (public_url or self._public_url).rstrip("/")
        return f"{base}{PATH}{quote(grant.key, safe='/')}?{grant.query(self._signing)}"


def verified(signing: SigningKey, method: Method, key: str, query: Mapping[str, str], *, now: datetime) -> Grant:
    """The grant that a URL carries; raise PermissionDenied if it was not signed with `signing` or is over."""
    try:
        md5 = md5_bytes(query["md5"]) if "md5" in query else None
        grant = Grant(method, key, int(query["expires"]), md5)
        is_signed = grant.is_signed_by(signing, query["signature"])
    except (KeyError, ValueError):
        is_signed = False
    else:
        if is_signed and now.timestamp() < grant.expires_at:
            return grant
    # The SDK looks for these words to tell a late upload from a forbidden one.
    raise PermissionDenied("Request has expired" if is_signed else "the URL's signature does not match")


def checked_expiry(expires: timedelta) -> timedelta:
    if not timedelta(0) < expires <= MAX_EXPIRY:
        raise InvalidArgument(f"a signed URL must live longer than 0 s and at most {MAX_EXPIRY.days} days")
    return expires


def md5_text(md5: bytes) -> str:
    """As in a Content-MD5 header."""
    return b64encode(md5).decode()


def md5_bytes(text: str) -> bytes:
    """The 16 bytes of a Content-MD5 header; raise InvalidArgument if it is none."""
    try:
        md5 = b64decode(text, validate=True)
    except (Base64Error, ValueError):
        md5 = b""
    return checked_md5(md5)


def checked_md5(md5: bytes) -> bytes:
    if len(md5) != MD5_SIZE:
        raise InvalidArgument(f"an MD5 has {MD5_SIZE} bytes, sent in base64")
    return md5
