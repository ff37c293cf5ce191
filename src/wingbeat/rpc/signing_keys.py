"""The public keys of whoever signs tokens: one of a file, or the set that a URL gives and that changes over time."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import structlog
from jwt import PyJWK, PyJWKSet
from jwt.exceptions import PyJWKError, PyJWKSetError

from wingbeat.errors import Unavailable

FLOOR_SECONDS = 30.0
"""The shortest time between two looks at the URL: tokens with invented key ids cause no more."""
MAX_AGE_SECONDS = 3600.0
"""How long keys are used before the URL is asked whether they still hold."""
FETCH_SECONDS = 5.0
MAX_BYTES = 1 << 20

Key = PyJWK | str
"""One of a set, or a public key in PEM."""
Fetch = Callable[[str], bytes]
"""The document at a URL. Blocks; raises OSError or HTTPException."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class SigningKeys(Protocol):
    async def find(self, key_id: str | None) -> Key | None:
        """The key that a token names; None when the signer has none of that name. Raises Unavailable."""
        ...


class KeyOfFile:
    """One key, whatever name tokens call it by."""

    def __init__(self, pem: str) -> None:
        self._pem = pem

    async def find(self, key_id: str | None) -> Key | None:
        return self._pem


class KeysOfUrl:
    """A JSON Web Key Set; `steady` is a monotonic clock in seconds.

    Asked for again when a token names an unknown key, and now and then though all are known: nobody waits for that.
    What cannot be read leaves the keys that are known in force.
    """

    def __init__(self, url: str, *, fetch: Fetch | None = None, steady: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._fetch = fetch or download
        self._steady = steady
        self._keys: Mapping[str | None, PyJWK] = {}
        self._asked_at = float("-inf")
        self._failure = ""
        self._refreshing: asyncio.Task[None] | None = None

    async def find(self, key_id: str | None) -> Key | None:
        key = self._named(key_id)
        if key is None:
            await self._refreshed(older_than=FLOOR_SECONDS)
            key = self._named(key_id)
        elif self._is_older_than(MAX_AGE_SECONDS):
            self._refresh()
        if key is None and self._failure:
            raise Unavailable(f"the keys that tokens are checked with cannot be read: {self._failure}")
        return key

    def _named(self, key_id: str | None) -> PyJWK | None:
        """A token that names no key means the only one there is."""
        if key_id is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)

    def _is_older_than(self, seconds: float) -> bool:
        return self._steady() - self._asked_at >= seconds

    async def _refreshed(self, *, older_than: float) -> None:
        if self._refreshing is not None or self._is_older_than(older_than):
            # Shielded: a caller that leaves must not take the answer away from the others who wait for it.
            await asyncio.shield(self._refresh())

    def _refresh(self) -> "asyncio.Task[None]":
        if self._refreshing is None:
            self._asked_at = self._steady()
            self._refreshing = asyncio.create_task(self._read())
        return self._refreshing

    async def _read(self) -> None:
        try:
            document = await asyncio.to_thread(self._fetch, self._url)
            self._keys = _usable(document)
            self._failure = ""
        except (OSError, HTTPException, ValueError, PyJWKError, PyJWKSetError) as error:
            self._failure = f"{self._url}: {error}"
            log.warning("signing keys cannot be read", url=self._url, error=str(error))
        finally:
            self._refreshing = None


def _usable(document: bytes) -> Mapping[str | None, PyJWK]:
    content: object = json.loads(document)
    if not isinstance(content, dict):
        raise PyJWKSetError("the document is no JSON Web Key Set")
    keys = PyJWKSet.from_dict(cast("dict[str, Any]", content)).keys
    return {key.key_id: key for key in keys if key.public_key_use != "enc"}


def download(url: str) -> bytes:
    parts = urlsplit(url)
    connect = HTTPConnection if parts.scheme == "http" else HTTPSConnection
    connection = connect(parts.netloc, timeout=FETCH_SECONDS)
    try:
        connection.request("GET", f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}")
        answer = connection.getresponse()
        if answer.status != HTTPStatus.OK:
            raise HTTPException(f"it answered {answer.status}")
        return answer.read(MAX_BYTES)
    finally:
        connection.close()
