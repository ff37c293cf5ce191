"""The HTTP server inside our process: binds, serves HTTP/1.1 and HTTP/2 on one port, and stops when told.

Binding comes before everything that takes time, so that a taken port is the first thing one hears of.
"""

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import uvicorn

from wingbeat.errors import StartError
from wingbeat.http.asgi import App

T = TypeVar("T")

BACKLOG = 2048
KEEP_ALIVE_SECONDS = 120
"""Longer than clients keep idle connections (90 s in the SDK's transport), so that it is they who close them."""

DATE_SECONDS = 1
"""How long the Date header of responses stays the same."""

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Tls:
    certificate: Path
    key: Path


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises StartError that names the address."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.create_server(address[:2], family=family, backlog=BACKLOG)
        # Connections inherit it. Without, the body of an answer waits 40 ms for the client to acknowledge its headers.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        raise StartError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error


class Listener:
    """Serves one ASGI application on one bound socket, once.

    `on_started` is called when connections are accepted. `on_stopping` is called once, in the event loop, when
    `stop` is called or SIGTERM or SIGINT comes: it must end what would otherwise not end, such as streams. Calls in
    flight then have `grace_seconds` before they are cancelled; a second signal ends the waiting. Raises StartError
    for a certificate or key that cannot be used.
    """

    def __init__(
        self,
        app: App,
        listening: socket.socket,
        *,
        grace_seconds: int,
        on_started: Callable[[], None],
        on_stopping: Callable[[], None],
        tls: Tls | None = None,
    ) -> None:
        self._socket = listening
        self._on_stopping = on_stopping
        config = uvicorn.Config(
            app,
            http="zttp",
            http2=True,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="warning",
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=grace_seconds,
            ssl_certfile=tls.certificate if tls else None,
            ssl_keyfile=tls.key if tls else None,
        )
        _load(config, tls)
        self._server = _Server(config, on_started=on_started)

    async def serve(self) -> None:
        """Serve until stopped; returns when the last connection is closed."""
        with self._stopping_on_signals():
            await self._server.serve(sockets=[self._socket])

    def stop(self) -> None:
        """Begin to stop; to be called in the thread of the event loop. A second call stops waiting for calls."""
        if self._server.should_exit:
            self._server.force_exit = True
            return
        self._server.end()
        self._on_stopping()

    @contextlib.contextmanager
    def _stopping_on_signals(self) -> Generator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in STOP_SIGNALS:
                loop.remove_signal_handler(number)


def _load(config: uvicorn.Config, tls: Tls | None) -> None:
    """What uvicorn would do when it starts to serve: earlier, where a failure can still be told in one line."""
    try:
        config.load()
    except OSError as error:
        if tls is None:
            raise
        raise StartError(f"cannot use the certificate {tls.certificate} with the key {tls.key}: {error}") from error


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, *, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started
        self._ended = asyncio.Event()

    def end(self) -> None:
        self.should_exit = True
        self._ended.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    async def main_loop(self) -> None:
        # uvicorn's own looks ten times a second whether it should stop.
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), DATE_SECONDS)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        # uvicorn's own handlers raise the signal again when the server has stopped, which kills the process before
        # the rest of it could be closed.
        yield


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run the server's main coroutine on uvloop, or on asyncio's own loop where uvloop does not exist."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        new_event_loop = None
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)
