"""Requests of ours to others: one POST, no redirects, no cookies, a bounded time, and of the answer only its status."""

import pyqwest

from wingbeat import __version__
from wingbeat.core.webhook import Letter
from wingbeat.errors import Unavailable

CONNECT_SECONDS = 5.0
SECONDS = 10.0
"""From the first byte to the last."""


class Outgoing:
    def __init__(self) -> None:
        transport = pyqwest.HTTPTransport(
            tls_include_system_certs=True,
            connect_timeout=CONNECT_SECONDS,
            timeout=SECONDS,
            use_system_dns=True,
            follow_redirects=False,
        )
        self._client = pyqwest.Client(transport)

    async def post(self, letter: Letter) -> int:
        """The status of the answer. Raises Unavailable, whose words do not give the URL away."""
        headers = {
            "content-type": "application/json",
            "idempotency-key": letter.key,
            "user-agent": f"wingbeat/{__version__}",
        }
        try:
            async with self._client.stream("POST", letter.url, headers, letter.body) as response:
                return response.status
        except TimeoutError as error:
            raise Unavailable(f"no answer within {SECONDS:g} s") from error
        except ConnectionError as error:
            raise Unavailable("no connection") from error
        except (OSError, RuntimeError, ValueError, pyqwest.ReadError, pyqwest.WriteError) as error:
            raise Unavailable("the exchange broke off") from error
        except pyqwest.RemoteProtocolError as error:
            raise Unavailable("what answers does not speak HTTP") from error
