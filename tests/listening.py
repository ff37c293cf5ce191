"""A real server on a free loopback port, in the test's own event loop."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from wingbeat.http.asgi import App
from wingbeat.http.listener import Listener, Tls, bind


@dataclass(frozen=True)
class Address:
    host: str
    port: int
    listener: Listener
    served: "asyncio.Task[None]"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


@asynccontextmanager
async def listening(
    app: App,
    *,
    on_stopping: Callable[[], None] = lambda: None,
    grace_seconds: int = 2,
    tls: Tls | None = None,
) -> AsyncGenerator[Address]:
    started = asyncio.Event()
    socket = bind("127.0.0.1", 0)
    host, port = socket.getsockname()
    listener = Listener(
        app, socket, grace_seconds=grace_seconds, tls=tls, on_started=started.set, on_stopping=on_stopping
    )
    served = asyncio.create_task(listener.serve())
    await started.wait()
    try:
        yield Address(host, port, listener, served)
    finally:
        for _ in range(2):
            listener.stop()
        await served
