"""Chaos: what kills processes of a server at random, what keeps the server up meanwhile, and the audit afterwards."""

import contextlib
import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.e2e.running import Client, Server
from wingbeat.executors.local.action_dir import ActionDir, Processes
from wingbeat.store.database import Row, Transaction, open_database

MOST_KILLS_OF_AN_ACTION = 2
"""An action survives three losses of its process; the third is left to bad luck."""
WEIGHTS = {"server": 3, "agent": 2, "zygote": 1, "keeper": 4, "task": 10, "database": 2}
PAUSES = (0.05, 0.6)
"""Seconds between two kills."""
DOWNTIMES = (0.0, 1.5)
LIFETIMES = (0.5, 9.0)
"""Of a server, its start included. The SDK gives up on a storage that is away four times in half a minute."""


@dataclass
class Supervised:
    """A server that somebody starts again whenever it is dead, as an operating system would."""

    server: Server
    chance: random.Random
    _over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def kept_up(self) -> Generator[None]:
        thread = threading.Thread(target=self._keep_up)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def kill(self) -> None:
        if self.server.process:
            self.server.process.kill()

    def _keep_up(self) -> None:
        while not self._over.is_set():
            process = self.server.process
            if process is None or process.poll() is not None:
                self._over.wait(self.chance.uniform(*DOWNTIMES))
                # It may be killed as it starts, or find no database.
                with contextlib.suppress(AssertionError):
                    self.server.start()
            self._over.wait(0.05)


@dataclass(frozen=True)
class Attempt:
    """One that runs, as its directory tells."""

    action: str
    """project/domain/run/action."""
    number: int
    processes: Processes


def running_attempts(executor: Path) -> Iterator[Attempt]:
    for path in (executor / "actions").iterdir():
        action = ActionDir(path)
        with contextlib.suppress(OSError, ValueError):
            key, processes = action.spec().launch.key, action.processes()
            if processes and not action.ended():
                name, _, number = key.rpartition("/")
                yield Attempt(name, int(number), processes)


def agent_of(executor: Path) -> psutil.Process | None:
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        agent = psutil.Process(json.loads((executor / "agent.json").read_text())["pid"])
        if "wingbeat.executors.local.agent" in agent.cmdline():
            return agent
    return None


@dataclass
class Killer:
    """SIGKILLs something every now and then, and writes down what."""

    supervised: Supervised
    chance: random.Random
    database: Callable[[], None] | None = None
    """Kills the database and starts it again."""
    kills: Counter[str] = field(default_factory=Counter[str])
    deaths: Counter[str] = field(default_factory=Counter[str])
    """How often a process of an action was killed."""
    killed: set[tuple[str, int]] = field(default_factory=set)
    """Attempts of actions."""
    _spared_until: float = 0.0

    @property
    def executor(self) -> Path:
        return self.supervised.server.directory / "data" / "executor"

    def rage(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        victims, weights = self._victims(), tuple(WEIGHTS.values())
        while time.monotonic() < end:
            time.sleep(self.chance.uniform(*PAUSES))
            (victim,) = self.chance.choices(tuple(WEIGHTS), weights)
            if victims[victim]():
                self.kills[victim] += 1

    def _victims(self) -> dict[str, Callable[[], bool]]:
        """How to kill each; whether something was there to be killed."""
        return {
            "server": self._server,
            "agent": self._agent,
            "zygote": self._zygote,
            "keeper": lambda: self._attempt(lambda processes: processes.keeper.pid),
            "task": lambda: self._attempt(lambda processes: processes.main.pid),
            "database": self._database,
        }

    def _server(self) -> bool:
        if time.monotonic() < self._spared_until:
            return False
        self._spared_until = time.monotonic() + self.chance.uniform(*LIFETIMES)
        self.supervised.kill()
        return True

    def _database(self) -> bool:
        if self.database is None:
            return False
        self.database()
        return True

    def _agent(self) -> bool:
        agent = agent_of(self.executor)
        return agent is not None and _kill(agent.pid)

    def _zygote(self) -> bool:
        agent = agent_of(self.executor)
        with contextlib.suppress(psutil.Error):
            zygotes = agent.children() if agent else []
            return bool(zygotes) and _kill(self.chance.choice(zygotes).pid)
        return False

    def _attempt(self, part: Callable[[Processes], int]) -> bool:
        running = [
            attempt
            for attempt in running_attempts(self.executor)
            if self.deaths[attempt.action] < MOST_KILLS_OF_AN_ACTION and attempt.processes.main.alive
        ]
        if not running:
            return False
        victim = self.chance.choice(running)
        self.deaths[victim.action] += 1
        self.killed.add((victim.action, victim.number))
        return _kill(part(victim.processes))


def _kill(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        psutil.Process(pid).kill()
        return True
    return False


@dataclass(frozen=True)
class Runs:
    """Runs that a client in its own process starts one after the other, on several lines, until it is told to end."""

    client: Client
    width: int
    lines: int

    @property
    def diary(self) -> Path:
        return self.client.directory / "diary"

    @contextmanager
    def going_on(self) -> Generator["subprocess.Popen[str]"]:
        inputs = json.dumps({"diary": str(self.diary), "width": self.width})
        command = [sys.executable, "keep_starting.py", "storm.storm", inputs, str(self._until), str(self.lines)]
        with (self.client.directory / "client.log").open("w") as log:
            process = subprocess.Popen(
                command,
                env=self.client.environment(),
                cwd=self.client.directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def enough(self) -> None:
        self._until.touch()

    @property
    def _until(self) -> Path:
        return self.client.directory / "enough"

    def expected(self) -> list[int]:
        return [sum(range(self.width)), *range(self.width)]


def processes_of(client: Client) -> list[psutil.Process]:
    """Every process whose environment has the home directory of the client or its server, whoever started it."""
    homes = {str(client.directory / "home"), str(client.server.directory / "home")}

    def ours(process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error):
            return process.environ().get("HOME") in homes and process.status() != psutil.STATUS_ZOMBIE
        return False

    return [process for process in psutil.process_iter() if ours(process)]


@dataclass(frozen=True)
class Stored:
    """What the database says after all."""

    actions: dict[str, Row]
    """By project/domain/run/action."""
    attempts: dict[tuple[str, int], Row]
    queued: int

    @classmethod
    async def of(cls, database_url: str) -> "Stored":
        async def body(tx: Transaction) -> "Stored":
            actions = await tx.fetch(
                "SELECT project, domain, run, name AS action, action_type, phase, attempts FROM action"
            )
            attempts = await tx.fetch(
                "SELECT project, domain, run, action, number, phase, error_kind, error_code, error_message, log_uri"
                "  FROM attempt"
            )
            return cls(
                {_path(row): row for row in actions},
                {(_path(row), row["number"]): row for row in attempts},
                len(await tx.fetch("SELECT action FROM queue")),
            )

        database = await open_database(database_url)
        try:
            return await database.read(body)
        finally:
            await database.close()


def _path(row: Row) -> str:
    return "/".join(row[name] for name in ("project", "domain", "run", "action"))
