"""The workflows in `flows/` on a real server: one server and one directory of work for all tests of a file."""

import json
import sys
from collections.abc import Generator, Mapping
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


@dataclass(frozen=True)
class Outcome:
    """What the SDK says of a run that is over."""

    run: str
    phase: str
    output: Any = None
    """The first one."""
    error: str = ""
    """The kind of exception that the outputs raise."""
    text: str = ""


@contextmanager
def serving(directory: Path, *flows: str, slots: int | None = None) -> Generator[Client]:
    server = Server(directory / "server", options=_options(directory, slots))
    server.start()
    client = Client(server, directory / "work")
    try:
        client.configure()
        for flow in flows:
            client.write(flow, (FLOWS / flow).read_text())
        yield client
        server.stop()
        assert "Traceback" not in server.log.read_text()
    finally:
        server.close()


def outcomes(client: Client, runs: Mapping[str, Wanted]) -> dict[str, Outcome]:
    """Have all of them run at the same time, by one process that uses the SDK."""
    script = client.write("start_all.py", (FLOWS / "start_all.py").read_text())
    wanted = json.dumps({name: asdict(run) for name, run in runs.items()})
    printed = client.run(sys.executable, script, wanted, seconds=PATIENCE).stdout
    found = json.loads(printed.splitlines()[-1])
    return {name: Outcome(**outcome) for name, outcome in found.items()}


def _options(directory: Path, slots: int | None) -> tuple[str, ...]:
    if slots is None:
        return ()
    settings = directory / "wingbeat.yaml"
    settings.write_text(f"executor: {{slots: {slots}}}\n")
    return ("--config", str(settings))
