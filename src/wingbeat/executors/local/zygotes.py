"""The agent's zygotes: one that starts programs, and a few warm ones, each for one set of variables read at import.

Any may die at any time: the next launch starts it again, and what it has forked runs on.
"""

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from wingbeat.executors.environments import Environment
from wingbeat.executors.local import protocol
from wingbeat.executors.local.action_dir import ActionDir, Spec
from wingbeat.executors.local.runtime import ENTRY_POINTS

log = logging.getLogger(__name__)

_WARM_LIMIT = 3
"""Warm zygotes kept at a time; each holds about 70 MiB."""
_ATTEMPTS = 3
_ANSWER_LIMIT = 60.0
"""Seconds to import the SDK on a busy machine, or to fork."""
_READ_AT_IMPORT = (
    "DISABLE_RICH_LOGGING", "FLYTE_IO_", "FLYTE_UPLOAD_TIMEOUT", "FORCE_COLOR", "FSSPEC_", "GRPC_", "LANG", "LC_",
    "LOG_", "MALLOC_", "NO_COLOR", "OTEL_", "TZ", "USER_LOG_LEVEL", "_F_",
)  # fmt: skip
_ONLY_COLD = ("LD_", "PYTHON", "_F_EXEC_WRAPPER")
"""Read by the dynamic linker or the interpreter as it starts, or made for a process that is started."""
_READ_LATE = ("_F_IMG_ID", "_F_PATH_REWRITE", "_F_PN", "_F_SYS_PATH")
"""Named like variables read at import, but read when the action runs, and different in many attempts."""


class ZygoteLost(Exception):
    """It ended before it answered; what it was asked may or may not have happened."""


@dataclass(frozen=True, slots=True)
class _Kind:
    environment: Environment
    warm: bool
    variables: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class _Zygote:
    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    refused: str | None = None
    """Why it must not fork actions."""
    lost: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def answer(self) -> protocol.Message:
        """Raises ZygoteLost when it has ended, or hangs and is killed."""
        message = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ANSWER_LIMIT):
                message = await protocol.receive(self.reader)
        if message is None:
            self.lost = True
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            raise ZygoteLost
        return message

    async def fork(self, action: ActionDir) -> bool:
        """False, and it was not asked, when it was lost to somebody else whose turn came first. Raises ZygoteLost."""
        async with self.lock:
            if self.lost:
                return False
            with contextlib.suppress(ConnectionError):
                self.writer.write(protocol.encode({"path": str(action.path)}))
                await self.writer.drain()
            await self.answer()
            return True

    async def end(self) -> None:
        async with self.lock:
            self.lost = True
            self.writer.close()
            await self.process.wait()


class Zygotes:
    """Starts attempts; used by one event loop."""

    def __init__(self, around: Mapping[str, str]) -> None:
        """`around` is the environment of the agent, of which actions get a few variables."""
        self._around = around
        self._zygotes: dict[_Kind, asyncio.Task[_Zygote]] = {}

    async def start(self, action: ActionDir, spec: Spec, environment: Environment) -> None:
        """Returns when the attempt runs or is over. Raises ZygoteLost when it cannot be begun."""
        losses = 0
        while losses < _ATTEMPTS:
            try:
                zygote = await self._zygote_for(spec, environment, warm=spec.warm and losses < _ATTEMPTS - 1)
                if not await zygote.fork(action):
                    continue
            except (ZygoteLost, OSError) as error:
                losses += 1
                log.warning("zygote lost: path=%s error=%r", action.path, error)
            if action.claimed():
                return
        raise ZygoteLost

    async def prepare(self, variables: Mapping[str, str], environment: Environment) -> None:
        """Have a warm zygote ready for attempts with these variables."""
        kind = _warm_kind(variables, environment)
        if kind is not None:
            await self._zygote(kind)

    async def close(self) -> None:
        for kind in list(self._zygotes):
            await self._end(kind)

    async def _zygote_for(self, spec: Spec, environment: Environment, *, warm: bool) -> _Zygote:
        kind = _warm_kind(spec.launch.env, environment) if warm and _has_warm_start(spec.launch.argv) else None
        if kind is not None:
            zygote = await self._zygote(kind)
            if zygote.refused is None:
                return zygote
        return await self._zygote(_Kind(environment, warm=False))

    async def _zygote(self, kind: _Kind) -> _Zygote:
        """The one of this kind, started when there is none; several callers wait for the same start."""
        task = self._zygotes.pop(kind, None)
        if task is None or (task.done() and (task.exception() or task.result().lost)):
            task = asyncio.create_task(self._start(kind))
        self._zygotes[kind] = task
        await self._end_least_recent()
        return await asyncio.shield(task)

    async def _start(self, kind: _Kind) -> _Zygote:
        ours, theirs = socket.socketpair()
        with theirs:
            arguments = ["--socket", str(theirs.fileno()), *(["--warm"] if kind.warm else [])]
            process = await asyncio.create_subprocess_exec(
                kind.environment.python, "-m", "wingbeat.executors.local.zygote", *arguments,
                env={**kind.environment.variables(self._around), **dict(kind.variables)},
                stdin=asyncio.subprocess.DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True,
            )  # fmt: skip
        reader, writer = await asyncio.open_connection(sock=ours)
        zygote = _Zygote(process, reader, writer)
        zygote.refused = (await zygote.answer())["refused"]
        if zygote.refused is not None:
            log.warning("no warm starts: reason=%s", zygote.refused)
        return zygote

    async def _end_least_recent(self) -> None:
        warm = [kind for kind in self._zygotes if kind.warm]
        for kind in warm[:-_WARM_LIMIT]:
            await self._end(kind)

    async def _end(self, kind: _Kind) -> None:
        task = self._zygotes.pop(kind, None)
        if task is not None:
            with contextlib.suppress(ZygoteLost, OSError):
                await (await task).end()


def _has_warm_start(argv: Sequence[str]) -> bool:
    # Forks of a process with many libraries are only trusted where they were measured.
    return sys.platform == "linux" and argv[0] in ENTRY_POINTS


def _warm_kind(variables: Mapping[str, str], environment: Environment) -> _Kind | None:
    """None when an attempt with these variables must start cold."""
    base = environment.variables({})
    own = {name: value for name, value in variables.items() if base.get(name) != value}
    if any(name.startswith(_ONLY_COLD) for name in own):
        return None
    read = ((name, own[name]) for name in sorted(own) if name.startswith(_READ_AT_IMPORT) and name not in _READ_LATE)
    return _Kind(environment, warm=True, variables=tuple(read))
