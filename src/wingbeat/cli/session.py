"""A server of one's own and a terminal to use it: what the demo shows, command by command."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import rich_click as click

from wingbeat.errors import NotFound, StartError

START_SECONDS = 30
RUN_SECONDS = 120
POLL_SECONDS = 4.0
LISTENS = re.compile(r"listens on (\S+)")
STYLING = re.compile(r"\x1b\[[0-9;]*m")
"""The stock CLI styles what it prints even where nobody can see it."""
WIDTH = 220
"""Columns in which its tables of runs are whole; narrower, it leaves columns out."""

_DONE = (0, -signal.SIGABRT)
"""How the stock CLI ends when all is well: on a busy machine, once in some hundred times and with everything done and
printed, its transport (pyqwest 0.12, in a thread of its own) aborts the interpreter."""


class Session:
    """Context manager; `directory` holds all of it, the home directory of the commands included."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._server_output = directory / "server.out"
        self._environment = _environment(directory / "home")
        self.url = ""

    def __enter__(self) -> "Session":
        self.say("Start a server.")
        _show(["wingbeat", "serve", "--port", "0"])
        with self._server_output.open("wb") as output:
            self._server = subprocess.Popen(
                [_program("wingbeat"), "serve", "--port", "0", "--data", "data"],
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            self.url = self._listening()
        except BaseException:
            self._stop()
            raise
        click.echo(f"it listens on {self.url}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.say("Stop the server.")
        self._stop()
        if kind is not None:
            click.echo(f"the server's output:\n{self._server_output.read_text()}", err=True)

    def say(self, text: str) -> None:
        click.secho(f"\n{text}", bold=True)

    def flyte(self, *arguments: str) -> None:
        """Show a command of the stock CLI and what it prints."""
        self.command("flyte", "--config", "config.yaml", "--no-progress", *arguments, shown=("flyte", *arguments))

    def command(self, *command: str, shown: Sequence[str] = (), quiet: bool = False) -> None:
        """Raises StartError when it fails. `quiet`: its output is shown only then."""
        _show(shown or command)
        program, *arguments = command
        done = subprocess.run(
            [_program(program), *arguments],
            cwd=self._directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if quiet else None,
            stderr=subprocess.STDOUT if quiet else None,
            text=True,
            check=False,
        )
        if done.returncode not in _DONE:
            raise StartError(f"`{' '.join(shown or command)}` failed {(done.stdout or '').strip()}")

    def runs(self) -> Mapping[str, Any]:
        """All runs by name, as the stock CLI reports them."""
        done = subprocess.run(
            [_program("flyte"), "--config", "config.yaml", "--output-format", "json-raw", "get", "run"],
            cwd=self._directory,
            env=self._environment | {"COLUMNS": "1000000"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode not in _DONE:
            raise StartError(f"`flyte get run` failed: {done.stderr.strip()}")
        return {run["action"]["id"]["run"]["name"]: run["action"] for run in json.loads(STYLING.sub("", done.stdout))}

    def wait_for_run(self, task: str) -> str:
        """The name of a run of `task` that has succeeded. Raises NotFound when there is none in time."""
        started = time.monotonic()
        while time.monotonic() - started < RUN_SECONDS:
            for name, action in self.runs().items():
                if _is_success_of(task, action):
                    return name
            click.echo(f"  {time.monotonic() - started:3.0f} s, no run of {task} has succeeded yet")
            time.sleep(POLL_SECONDS)
        raise NotFound(f"no run of {task} has succeeded within {RUN_SECONDS} s")

    def _listening(self) -> str:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._server.poll() is None:
            found = LISTENS.search(self._server_output.read_text())
            if found:
                return found[1]
            time.sleep(0.05)
        raise StartError(f"the server did not start: {self._server_output.read_text().strip()}")

    def _stop(self) -> None:
        self._server.send_signal(signal.SIGTERM)
        try:
            self._server.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()


def found_examples() -> Path:
    """The examples: beside the package where it is installed, in the repository where it is developed."""
    package = Path(__file__).parents[1]
    for place in (package / "examples", package.parents[1] / "examples"):
        if (place / "hello.py").exists():
            return place
    raise NotFound(f"no examples are installed with {package}")


def _environment(home: Path) -> dict[str, str]:
    """The SDK keeps caches in the home directory, by the server's address; here each server is a new one."""
    home.mkdir()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("WINGBEAT_", "FLYTE"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    columns = str(max(WIDTH, shutil.get_terminal_size().columns))
    return inherited | {"HOME": str(home), "PATH": path, "COLUMNS": columns, "FLYTE_DISABLE_SENTRY": "1"}


def _program(name: str) -> str:
    """The one that is installed with this Python."""
    return str(Path(sys.executable).with_name(name))


def _show(command: Sequence[str]) -> None:
    click.secho(f"$ {' '.join(command)}", fg="cyan")


def _is_success_of(task: str, action: Mapping[str, Any]) -> bool:
    name = action["metadata"].get("task", {}).get("id", {}).get("name")
    return name == task and action["status"]["phase"] == "ACTION_PHASE_SUCCEEDED"
