"""A PostgreSQL of the tests' own: a cluster in a temporary directory, on loopback, gone afterwards."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

CRASH_SAFE = ("fsync=off", "max_connections=200", "listen_addresses=127.0.0.1")
"""What was committed survives the death of all processes, though not of the machine."""
SETTINGS = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=200",
    "listen_addresses=127.0.0.1",
)


@dataclass(frozen=True)
class Cluster:
    """A PostgreSQL with its data, which can be killed and started again."""

    directory: Path
    port: int
    settings: Sequence[str]

    @property
    def url(self) -> str:
        """Of its `postgres` database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = " ".join(
            f"-c {setting}"
            for setting in (*self.settings, f"port={self.port}", f"unix_socket_directories={self.directory}")
        )
        _run("pg_ctl", "-D", self.data, "-w", "-o", options, "-l", self.directory / "log", "start")

    def stop(self) -> None:
        _run("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")

    def kill(self) -> None:
        """SIGKILL all its processes at once, so that none of them can clean up after another."""
        postmaster = psutil.Process(int((self.data / "postmaster.pid").read_text().split()[0]))
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes)

    @property
    def data(self) -> Path:
        return self.directory / "data"


@contextmanager
def postgresql_cluster(settings: Sequence[str] = SETTINGS) -> Generator[Cluster]:
    """`settings` are those of tests: fast, not durable."""
    directory = Path(tempfile.mkdtemp(prefix="wingbeat-pg-"))
    cluster = Cluster(directory, free_port(), settings)
    try:
        if os.geteuid() == 0:
            shutil.chown(directory, "postgres", "postgres")
        _run("initdb", "-D", cluster.data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def postgresql_server(settings: Sequence[str] = SETTINGS) -> Generator[str]:
    """The URL of its `postgres` database."""
    with postgresql_cluster(settings) as cluster:
        yield cluster.url


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
