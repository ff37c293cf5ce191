"""A real server in its own process, and the stock SDK and CLI in theirs, with a home of their own."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "examples"
PROGRAMS = Path(sys.executable).parent
START_SECONDS = 30
COMMAND_SECONDS = 60
DONE = (0, -signal.SIGABRT)
"""How a program that uses the SDK ends when all is well. Once in thirty to three hundred times on a busy machine, with
everything done and printed, the transport of the SDK (pyqwest 0.12, in a thread of its own) aborts the interpreter."""


def environment(home: Path) -> dict[str, str]:
    """Nothing of the machine's own configuration of the SDK, whose caches are in the home directory."""
    home.mkdir(parents=True, exist_ok=True)
    return {
        "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "COLUMNS": "1000",
        "TERM": "dumb",
        "FLYTE_DISABLE_SENTRY": "1",
        "PYTHONUNBUFFERED": "1",
    }


def run_of(printed: str) -> str:
    """The name of the run whose page the CLI has printed."""
    found = re.search(r"/runs/(r[a-z0-9]+)", printed)
    assert found, printed
    return found[1]


def wait_for(found: Callable[[], T | None], *, seconds: float, what: str, every: float = 0.5) -> T:
    deadline = time.monotonic() + seconds
    while True:
        value = found()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(every)


@dataclass
class Server:
    """One data directory; it can be stopped, killed and started again on the same port."""

    directory: Path
    options: tuple[str, ...] = ()
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> Path:
        return self.directory / "server.out"

    @property
    def log(self) -> Path:
        return self.directory / "server.log"

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        with self.log.open("a") as log, self.output.open("w") as output:
            self.process = subprocess.Popen(
                ["wingbeat", "serve", "--port", str(self.port), "--data", self.directory / "data", *self.options],
                env=environment(self.directory / "home"),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
            )
        listening = wait_for(self._listening, seconds=START_SECONDS, what="the start of the server", every=0.05)
        self.port = int(listening[1])

    def stop(self) -> str:
        """SIGTERM; what the server printed since its start, and it ended well."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(START_SECONDS) == 0, self.log.read_text()
        return self.output.read_text()

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait(START_SECONDS)

    def close(self) -> None:
        """End it, however it stands, and its data: the agent and its actions end with their directory."""
        if self.process and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.directory / "data", ignore_errors=True)

    def _listening(self) -> "re.Match[str] | None":
        assert self.process
        assert self.process.poll() is None, f"the server did not start: {self.log.read_text()}"
        return re.search(r"listens on http://127\.0\.0\.1:(\d+)\n", self.output.read_text())


@dataclass(frozen=True)
class Client:
    """Someone at a terminal, in a directory with a copy of the files they work on."""

    server: Server
    directory: Path

    @property
    def config(self) -> Path:
        return self.directory / ".flyte" / "config.yaml"

    def environment(self) -> dict[str, str]:
        return environment(self.directory / "home")

    def configure(self) -> dict[str, str]:
        """Run `wingbeat config`; the variables it prints."""
        self.directory.mkdir(parents=True, exist_ok=True)
        printed = self.run("wingbeat", "config", "--url", self.server.url, "--force").stdout
        return dict(re.findall(r"^export (\w+)=(\S+)$", printed, re.MULTILINE))

    def run(
        self,
        *command: str,
        check: bool = True,
        variables: dict[str, str] | None = None,
        seconds: float = COMMAND_SECONDS,
    ) -> Any:
        done = subprocess.run(
            command,
            env=self.environment() | (variables or {}),
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        if check:
            ended_well = (0,) if command[0] == "wingbeat" else DONE
            assert done.returncode in ended_well, (
                f"{command} ended with {done.returncode}: "
                f"{done.stdout}{done.stderr}{self.server.log.read_text()[-4000:]}"
            )
        return done

    def flyte(self, *arguments: str, check: bool = True) -> str:
        """What the stock CLI printed, errors included."""
        done = self.run("flyte", "--no-progress", *arguments, check=check)
        assert check or done.returncode != 0, done.stdout
        return done.stdout + done.stderr

    def json(self, *arguments: str) -> Any:
        done = self.run("flyte", "--no-progress", "--output-format", "json-raw", *arguments)
        return json.loads(done.stdout, strict=False)  # the CLI breaks lines wherever the terminal ends

    def python(self, script: str, *, variables: dict[str, str] | None = None) -> Any:
        """Run a script that uses the SDK; it prints one line of JSON last."""
        path = self.directory / "script.py"
        path.write_text("import flyte, json\nflyte.init_from_config()\n" + script)
        return json.loads(self.run(sys.executable, str(path), variables=variables).stdout.splitlines()[-1])

    def write(self, name: str, text: str) -> str:
        (self.directory / name).write_text(text)
        return name

    def copy(self, *examples: str) -> None:
        for name in examples:
            self.write(name, (EXAMPLES / name).read_text())

    def started(self, *arguments: str) -> str:
        """Start a run, do not wait for it; its name."""
        return run_of(self.flyte("run", *arguments))

    def action(self, run: str) -> Any:
        """What the stock CLI says of a run's first action."""
        return next(action for action in self.json("get", "action", run) if action["id"]["name"] == "a0")

    def phase(self, run: str) -> str:
        return str(self.action(run)["status"]["phase"]).removeprefix("ACTION_PHASE_")

    def attempts(self, run: str) -> int:
        return int(self.action(run)["status"]["attempts"])
