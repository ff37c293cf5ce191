"""The public keys of whoever signs tokens: one of a file, or the set that a URL gives and that changes over time."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Protocol, cast

import pyqwest
import structlog
from jwt import PyJWK, PyJWKSet
from jwt.exceptions import PyJWKError, PyJWKSetError

from wingbeat.errors import Unavailable

FLOOR_SECONDS = 30.0
"""The shortest time between two looks at the URL: tokens with invented key ids cause no more."""
MAX_AGE_SECONDS = 3600.0
"""How long keys are used before the URL is asked whether they still hold."""
FETCH_SECONDS = 5.0
"""From the first byte to the last."""
MAX_BYTES = 1 << 20

_BROKEN = (pyqwest.ReadError, pyqwest.WriteError, pyqwest.RemoteProtocolError)

Key = PyJWK | str
"""One of a set, or a public key in PEM."""
Fetch = Callable[[str], Awaitable[bytes]]
"""The document at a URL. Raises Unavailable."""

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
        self._failed = False
        self._refreshing: asyncio.Task[None] | None = None

    async def find(self, key_id: str | None) -> Key | None:
        key = self._named(key_id)
        if key is None:
            await self._refreshed(older_than=FLOOR_SECONDS)
            key = self._named(key_id)
        elif self._is_older_than(MAX_AGE_SECONDS):
            self._refresh()
        if key is None and self._failed:
            # Whoever shows any token gets this: where the keys are is not for them.
            raise Unavailable("the keys that tokens are checked with cannot be read now; the server's log says why")
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
            self._keys = _usable(await self._fetch(self._url))
            self._failed = False
        except (Unavailable, ValueError, PyJWKError, PyJWKSetError) as error:
            self._failed = True
            log.warning("signing keys cannot be read", url=self._url, error=str(error))
        finally:
            self._refreshing = None


def _usable(document: bytes) -> Mapping[str | None, PyJWK]:
    content: object = json.loads(document)
    if not isinstance(content, dict):
        raise PyJWKSetError("the document is no JSON Web Key Set")
    keys = PyJWKSet.from_dict(cast("dict[str, Any]", content)).keys
    return {key.key_id: key for key in keys if key.public_key_use != "enc"}


async def download(url: str) -> bytes:
    """No redirects, and no more than `MAX_BYTES` in `FETCH_SECONDS`. Raises Unavailable."""
    transport = pyqwest.HTTPTransport(
        tls_include_system_certs=True, use_system_dns=True, follow_redirects=False, enable_cookie_store=False
    )
    try:
        async with asyncio.timeout(FETCH_SECONDS), transport, pyqwest.Client(transport).stream("GET", url) as answer:
            return await _content(answer)
    except TimeoutError as error:
        raise Unavailable(f"it did not answer whole within {FETCH_SECONDS:g} s") from error
    except (OSError, RuntimeError, ValueError, *_BROKEN) as error:
        raise Unavailable(str(error) or type(error).__name__) from error


async def _content(answer: pyqwest.Response) -> bytes:
    if answer.status != HTTPStatus.OK:
        raise Unavailable(f"it answered {answer.status}")
    document = bytearray()
    async for chunk in answer.content:
        document += chunk
        if len(document) > MAX_BYTES:
            raise Unavailable(f"it answered with more than {MAX_BYTES} bytes")
    return bytes(document)
