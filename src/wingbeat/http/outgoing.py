"""Requests of ours to others: one POST, no redirects, no cookies, a bounded time, and of the answer only its status.

Where users choose whom the server tells, they must not make it speak to what trusts this machine: the address is looked
at that the request then goes to, not the name, which may mean another one a moment later.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence

import pyqwest

from wingbeat import __version__
from wingbeat.core.addresses import kind_inside, parsed
from wingbeat.core.webhook import Letter
from wingbeat.errors import PermissionDenied, Unavailable

CONNECT_SECONDS = 5.0
SECONDS = 10.0
"""From the first byte to the last."""
_NAME = re.compile(r"(?:[a-z0-9_-]+\.)*(?!0x[0-9a-f]*$)[a-z0-9_-]*[a-z_-][a-z0-9_-]*")
"""One that nobody reads as an address, as `127.1`, `0x7f.1` and `127.0.0.1.` are read by some."""

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""The addresses of a name. Raises OSError."""


async def resolved(name: str) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class Outgoing:
    def __init__(self, *, local: bool, resolve: Resolve = resolved) -> None:
        """`local`: also to loopback, link-local and metadata addresses."""
        self._anywhere = pyqwest.Client(_transport()) if local else None
        self._resolve = resolve

    async def post(self, letter: Letter) -> int:
        """The status of the answer.

        Raises Unavailable, or PermissionDenied for an address that is not for webhooks; their words do not give the
        URL away.
        """
        if self._anywhere is not None:
            return await _exchange(self._anywhere, letter)
        overrides = {letter.host: await self._addresses(letter.host)}
        # It reads the machine's certificates.
        async with await asyncio.to_thread(_transport, overrides) as transport:
            return await _exchange(pyqwest.Client(transport), letter)

    async def _addresses(self, host: str) -> Sequence[str]:
        is_address = parsed(host) is not None
        if not is_address and not _NAME.fullmatch(host):
            raise PermissionDenied(f"{host!r} is neither the name of a host nor an address as they are usually written")
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                found = [host] if is_address else await self._resolve(host)
        except (OSError, UnicodeError) as error:
            raise Unavailable("no connection") from error
        kinds = [kind_inside(address) for each in found if (address := parsed(each))]
        if any(kinds):
            kind = next(filter(None, kinds))
            raise PermissionDenied(f"{host} has a {kind} address, and the setting webhooks.allowLocal is off")
        return found


def _transport(overrides: Mapping[str, Sequence[str]] | None = None) -> pyqwest.HTTPTransport:
    return pyqwest.HTTPTransport(
        tls_include_system_certs=True,
        connect_timeout=CONNECT_SECONDS,
        timeout=SECONDS,
        use_system_dns=True,
        dns_overrides=overrides,
        follow_redirects=False,
        enable_otel=False,  # it would tell the URLs
    )


async def _exchange(client: pyqwest.Client, letter: Letter) -> int:
    headers = {
        "content-type": "application/json",
        "idempotency-key": letter.key,
        "user-agent": f"wingbeat/{__version__}",
    }
    try:
        async with client.stream("POST", letter.url, headers, letter.body) as response:
            return response.status
    except TimeoutError as error:
        raise Unavailable(f"no answer within {SECONDS:g} s") from error
    except ConnectionError as error:
        raise Unavailable("no connection") from error
    except (OSError, RuntimeError, ValueError, pyqwest.ReadError, pyqwest.WriteError) as error:
        raise Unavailable("the exchange broke off") from error
    except pyqwest.RemoteProtocolError as error:
        raise Unavailable("what answers does not speak HTTP") from error
