"""A PostgreSQL of the tests' own: a cluster in a temporary directory, on loopback, gone afterwards."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

SETTINGS = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=200",
    "listen_addresses=127.0.0.1",
)


@contextmanager
def postgresql_server(settings: tuple[str, ...] = SETTINGS) -> Generator[str]:
    """The URL of its `postgres` database. `settings` are those of tests: fast, not durable."""
    directory = Path(tempfile.mkdtemp(prefix="wingbeat-pg-"))
    port = free_port()
    try:
        if os.geteuid() == 0:
            shutil.chown(directory, "postgres", "postgres")
        data = directory / "data"
        _run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
        options = " ".join(
            f"-c {setting}" for setting in (*settings, f"port={port}", f"unix_socket_directories={directory}")
        )
        _run("pg_ctl", "-D", data, "-w", "-o", options, "-l", directory / "log", "start")
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        finally:
            _run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _run(program: str, *args: str | Path) -> None:
    """PostgreSQL refuses to run as root; then its own user runs it."""
    user = "postgres" if os.geteuid() == 0 else None
    environment = {"PATH": os.environ["PATH"], "HOME": pwd.getpwnam(user).pw_dir if user else os.environ["HOME"]}
    done = subprocess.run(
        [_program(program), *args],
        user=user,
        group=user,
        extra_groups=[] if user else None,
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{program} failed: {done.stdout}{done.stderr}"


def _program(name: str) -> Path:
    """Debian keeps the server's programs off the PATH, one directory per version; the newest is used."""
    installed = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4].split(".")[0])
    )
    found = shutil.which(name)
    if installed:
        return installed[-1]
    assert found, f"{name} not found: apt-get install postgresql"
    return Path(found)
