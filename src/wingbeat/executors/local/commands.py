"""What an executor can tell its agent to do, over any number of connections. Every command may be repeated."""

import asyncio
import contextlib
import logging

import wingbeat
from wingbeat.core.launch import Status
from wingbeat.errors import InvalidArgument, WingbeatError
from wingbeat.executors.environments import environment_of
from wingbeat.executors.local import protocol
from wingbeat.executors.local.action_dir import Spec
from wingbeat.executors.local.attempts import Attempts
from wingbeat.executors.local.protocol import Message
from wingbeat.executors.local.zygotes import ZygoteLost, Zygotes

log = logging.getLogger(__name__)


class Commands:
    def __init__(self, attempts: Attempts, zygotes: Zygotes) -> None:
        self._attempts = attempts
        self._zygotes = zygotes
        self.clients = 0
        """Connections that are open."""
        self.ending = asyncio.Event()
        """Set once the agent was told to end."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until the client hangs up."""
        self.clients += 1
        calls: set[asyncio.Task[None]] = set()
        try:
            while request := await protocol.receive(reader):
                call = asyncio.create_task(self._answer(request, writer))
                calls.add(call)
                call.add_done_callback(calls.discard)
        finally:
            self.clients -= 1
            for call in calls:
                call.cancel()
            writer.close()

    async def _answer(self, request: Message, writer: asyncio.StreamWriter) -> None:
        try:
            if request["command"] == "watch":
                await self._watch(writer)
                return
            answer = {"result": await self._perform(request)}
        except WingbeatError as error:
            answer = {"error": type(error).__name__, "message": str(error)}
        except Exception:
            log.exception("command failed: command=%s", request["command"])
            answer = {"error": "Unavailable", "message": "the agent of the local executor failed, see its agent.log"}
        writer.write(protocol.encode({"id": request["id"], **answer}))

    async def _perform(self, request: Message) -> object:
        match request["command"]:
            case "hello":
                return wingbeat.__version__
            case "launch":
                await self._attempts.launch(Spec(protocol.launch_from_message(request["launch"]), request["warm"]))
            case "stop":
                await self._attempts.stop(request["key"], request["reason"])
            case "status":
                known = self._attempts.status(request["keys"])
                return [protocol.status_to_message(status) for status in known.values() if status is not None]
            case "forget":
                await self._attempts.forget(request["key"])
            case "prepare":
                with contextlib.suppress(ZygoteLost):
                    await self._zygotes.prepare(request["env"], environment_of(""))
            case "end":
                return self._end(even_if_busy=request["even_if_busy"])
            case unknown:
                raise InvalidArgument(f"the agent knows no command {unknown!r}")
        return None

    def _end(self, *, even_if_busy: bool) -> bool:
        if even_if_busy or not self._attempts.unfinished:
            self.ending.set()
        return self.ending.is_set()

    async def _watch(self, writer: asyncio.StreamWriter) -> None:
        watch = self._attempts.watch()
        try:
            await _send_statuses(watch.take(), writer)
            writer.write(protocol.encode({"synced": True}))
            while True:
                await watch.changed()
                await _send_statuses(watch.take(), writer)
        except ConnectionError:
            return
        finally:
            self._attempts.unwatch(watch)


async def _send_statuses(statuses: list[Status], writer: asyncio.StreamWriter) -> None:
    for status in statuses:
        writer.write(protocol.encode({"status": protocol.status_to_message(status)}))
        await writer.drain()
