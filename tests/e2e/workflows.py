"""The workflows in `flows/` on a real server: one server and one directory of work for all tests of a file."""

import json
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.running import Client, Server

FLOWS = Path(__file__).with_name("flows")
PATIENCE = 120
"""Seconds for all runs of a file together, on a busy machine."""


@dataclass(frozen=True)
class Wanted:
    """A run to start."""

    task: str
    """`module.function`."""
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    context: Mapping[str, str] = field(default_factory=dict[str, str])
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """More of flyte.with_runcontext."""


@dataclass(frozen=True)
class Started:
    """A run to wait for."""

    run: str


@dataclass(frozen=True)
class Outcome:
    """What the SDK says of a run that is over."""

    run: str
    phase: str
    actions: Sequence[dict[str, Any]]
    """As the lists of the SDK show them."""
    output: Any = None
    """The first one."""
    error: str = ""
    """The kind of exception that the outputs raise."""
    text: str = ""

    @property
    def children(self) -> Sequence[dict[str, Any]]:
        return [action for action in self.actions if action["id"]["name"] != "a0"]


@contextmanager
def serving(directory: Path, *flows: str, slots: int | None = None, queues: Sequence[str] = ()) -> Generator[Client]:
    server = Server(directory / "server", options=_options(directory, slots, queues))
    server.start()
    client = Client(server, directory / "work")
    try:
        client.configure()
        for flow in ("drive.py", *flows):
            client.write(flow, (FLOWS / flow).read_text())
        yield client
        server.stop()
        assert "Traceback" not in server.log.read_text()
    finally:
        server.close()


def started(client: Client, runs: Mapping[str, Wanted]) -> dict[str, Started]:
    """Start all of them."""
    return {name: Started(run) for name, run in _drive(client, runs, "--leave").items()}


def outcomes(client: Client, runs: Mapping[str, Wanted | Started]) -> dict[str, Outcome]:
    """Wait for the end of all, which run at the same time: one process uses the SDK for them."""
    return {name: Outcome(**outcome) for name, outcome in _drive(client, runs).items()}


def _drive(client: Client, runs: Mapping[str, Wanted | Started], *options: str) -> dict[str, Any]:
    wanted = json.dumps({name: asdict(run) for name, run in runs.items()})
    printed = client.run(sys.executable, "drive.py", *options, wanted, seconds=PATIENCE).stdout
    return json.loads(printed.splitlines()[-1])


def _options(directory: Path, slots: int | None, queues: Sequence[str]) -> tuple[str, ...]:
    executor = ({} if slots is None else {"slots": slots}) | ({"queues": list(queues)} if queues else {})
    if not executor:
        return ()
    settings = directory / "wingbeat.yaml"
    settings.write_text(json.dumps({"executor": executor}))
    return ("--config", str(settings))
