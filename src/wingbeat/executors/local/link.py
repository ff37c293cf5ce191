"""The executor's link to its agent: connected for as long as it is open, whatever happens to the agent."""

import asyncio
import contextlib
import logging
import os
import random
import sys
import time
from collections.abc import AsyncGenerator

import wingbeat
from wingbeat.errors import Unavailable
from wingbeat.executors.local import connection
from wingbeat.executors.local.connection import Connection
from wingbeat.executors.local.home import AgentHome
from wingbeat.executors.local.protocol import Message

log = logging.getLogger(__name__)

_CALL_LIMIT = 30.0
"""Seconds for one command, the start of an agent included."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 5.0
_INHERITED = ("HOME", "LANG", "PATH", "TMPDIR")
"""Of the server's environment the agent, and so an action, sees no more than this."""


class Link:
    def __init__(self, home: AgentHome, *, idle_limit: float) -> None:
        self._home = home
        self._idle_limit = idle_limit
        self._connection: Connection | None = None
        self._connected = asyncio.Event()
        self._problem: Exception | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect, starting an agent when there is none. Raises OSError or Unavailable."""
        if self._keeping is not None:
            return
        self._home.prepare()
        self._keeping = asyncio.create_task(self._keep_connected())
        try:
            await self.call("hello")
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Disconnect; the agent goes on."""
        if self._keeping is None:
            return
        self._keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._keeping
        self._keeping = None
        self._connected.clear()

    async def call(self, command: str, **arguments: object) -> object:
        """Repeated over a lost connection, as every command may be. Raises Unavailable, and what the agent raises."""
        if self._keeping is None:
            raise Unavailable("the local executor is not started")
        try:
            async with asyncio.timeout(_CALL_LIMIT):
                while True:
                    await self._connected.wait()
                    if self._connection is None:
                        continue
                    try:
                        return await self._connection.call(command, **arguments)
                    except ConnectionError:
                        self._connected.clear()
        except TimeoutError as error:
            raise Unavailable(f"the agent in {self._home.path} does not answer: {self._problem}") from error

    async def watch(self) -> AsyncGenerator[Message]:
        """Raises Unavailable when there is no agent; ends when it hangs up."""
        await self.call("hello")
        socket = self._home.socket()
        if socket is None:
            return
        try:
            async with contextlib.aclosing(connection.watch(socket)) as messages:
                async for message in messages:
                    yield message
        except OSError as error:
            raise Unavailable(f"the agent in {self._home.path} has just ended: {error}") from error

    async def _keep_connected(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            begin = time.monotonic()
            try:
                await self._stay_connected()
            except (OSError, ValueError, Unavailable) as error:  # ValueError: it speaks nonsense
                self._problem = error
                log.warning("no agent: directory=%s error=%s", self._home.path, error)
            pause = min(2 * pause, _LONGEST_PAUSE) if time.monotonic() - begin < _LONGEST_PAUSE else _FIRST_PAUSE
            await asyncio.sleep(pause * random.uniform(0.5, 1))

    async def _stay_connected(self) -> None:
        """Connect, and return when the agent hangs up. Raises OSError or Unavailable when there is no connecting."""
        self._connection = await self._connect()
        self._connected.set()
        try:
            await self._connection.lost()
        finally:
            self._connected.clear()
            self._connection.close()

    async def _connect(self) -> Connection:
        """To the agent that listens, or to one that we start; an agent of another release is replaced."""
        with contextlib.suppress(OSError):
            agent = await self._dial()
            if await agent.call("hello") == wingbeat.__version__:
                return agent
            await agent.call("end", even_if_busy=True)
            await agent.lost()
        await self._start_agent()
        return await self._dial()

    async def _dial(self) -> Connection:
        socket = self._home.socket()
        if socket is None:
            raise FileNotFoundError(f"no agent has listened in {self._home.path}")
        return await Connection.open(socket)

    async def _start_agent(self) -> None:
        """Returns when an agent listens, which another executor may have started. Raises Unavailable."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "wingbeat.executors.local.agent",
            "--dir", str(self._home.path), "--idle-limit", str(self._idle_limit),
            env={name: os.environ[name] for name in _INHERITED if name in os.environ},
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, complaint = await process.communicate()
        if process.returncode != 0:
            reason = complaint.decode(errors="replace").strip().rpartition("\n")[2] or f"see {self._home.log}"
            raise Unavailable(f"the agent does not start: {reason}")
