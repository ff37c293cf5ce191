"""`wingbeat run` in a process of its own, against a real server: on a terminal, in a pipe, and interrupted."""

import json
import os
import pty
import signal
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.e2e.running import Client, Server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

SLOW = """
import asyncio
from pathlib import Path

import flyte

env = flyte.TaskEnvironment(name="slow")


@env.task
async def leaf(path: str) -> str:
    print("waiting", flush=True)
    while not Path(path).exists():
        await asyncio.sleep(0.1)
    return "found"


@env.task
async def wait(path: str) -> str:
    with flyte.group("leaves"):
        return await leaf(path)
"""


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Generator[Client]:
    directory = tmp_path_factory.mktemp("terminal")
    server = Server(directory / "server")
    server.start()
    client = Client(server, directory / "work")
    try:
        client.configure()
        client.copy("hello.py", "failing.py")
        client.write("slow.py", SLOW)
        yield client
        server.stop()
        assert "Traceback" not in server.log.read_text()
    finally:
        server.close()


def on_terminal(user: Client, *command: str) -> tuple[int, str]:
    """The exit code, and all that was drawn."""
    ours, theirs = pty.openpty()
    environment = user.environment() | {"TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(command, env=environment, cwd=user.directory, stdout=theirs) as process:
        os.close(theirs)
        drawn = b""
        try:
            while part := os.read(ours, 4096):
                drawn += part
        except OSError:
            pass  # how Linux says that the terminal was closed
        finally:
            os.close(ours)
    return process.returncode, drawn.decode()


def test_a_run_is_found_by_the_configuration_of_the_sdk_alone(user: Client) -> None:
    run = user.started("hello.py", "hello", "--name", "Ada")
    watched = user.run("wingbeat", "run", "watch", run)
    assert f"run {run} SUCCEEDED after" in watched.stdout
    assert run in user.run("wingbeat", "run", "list").stdout
    assert "greeting Ada" in user.run("wingbeat", "run", "logs", run).stdout
    shown = json.loads(user.run("wingbeat", "run", "show", run, "-o", "json").stdout)
    assert shown["run"]["task"] == "hello.hello"
    assert shown["attempts"][0]["outputs_uri"].startswith("s3://")


def test_a_run_that_fails_says_why_and_fails_its_watcher(user: Client) -> None:
    run = user.started("failing.py", "divide", "--numerator", "1", "--denominator", "0")
    watched = user.run("wingbeat", "run", "watch", run, check=False)
    assert watched.returncode == 1
    assert watched.stdout.endswith("cannot divide 1 by nothing\n")


def test_a_terminal_shows_the_tree_in_place_until_the_run_is_over(user: Client, tmp_path: Path) -> None:
    found = tmp_path / "found"
    run = user.started("slow.py", "wait", "--path", str(found))
    found.touch()
    code, drawn = on_terminal(user, "wingbeat", "run", "watch", run)
    assert code == 0
    assert "\x1b[" in drawn
    last = drawn[drawn.rindex("leaves") :]
    assert "slow.leaf" in last
    assert f"run {run} SUCCEEDED after" in last


@pytest.mark.parametrize("command", ["watch", "logs"])
def test_an_interrupt_ends_the_watching_and_not_the_run(user: Client, tmp_path: Path, command: str) -> None:
    found = tmp_path / "found"
    run = user.started("slow.py", "leaf", "--path", str(found))
    with subprocess.Popen(
        ["wingbeat", "run", command, run],
        env=user.environment(),
        cwd=user.directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout
        watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        _, complaint = watching.communicate(timeout=30)
    assert watching.returncode == 1
    assert complaint.strip() == "Aborted."
    found.touch()
    assert user.run("wingbeat", "run", "watch", run).returncode == 0
