"""The journeys of a user with the stock SDK and CLI: run, look, schedule, change, delete. One server for all of them.

The scheduled fire is waited for last: the minute passes while the other journeys are tried.
"""

import json
import re
import subprocess
from collections.abc import Generator

import pytest

from tests.e2e.running import Client, Server, run_of, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

SLOW = """
import asyncio
from pathlib import Path

import flyte

env = flyte.TaskEnvironment(name="slow")


@env.task
async def wait(signal: str) -> str:
    print("waiting", flush=True)
    while not Path(signal).exists():
        await asyncio.sleep(0.1)
    print("signalled", flush=True)
    return signal
"""
TRIGGERED = """
import flyte

env = flyte.TaskEnvironment(name="triggered")
nightly = flyte.Trigger(name="nightly", automation=flyte.Cron("30 2 * * *", timezone="Europe/Vienna"))
hourly = flyte.Trigger(name="hourly", automation=flyte.FixedRate(interval_minutes=60))


@env.task(triggers=(nightly, hourly))
async def work() -> str:
    return "done"
"""


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Generator[Client]:
    directory = tmp_path_factory.mktemp("lifecycle")
    server = Server(directory / "server")
    server.start()
    client = Client(server, directory / "work")
    try:
        client.configure()
        client.copy("hello.py", "failing.py", "scheduled.py")
        client.write("slow.py", SLOW)
        client.write("triggered.py", TRIGGERED)
        client.flyte("deploy", "scheduled.py", "env")
        yield client
        server.stop()
        assert "Traceback" not in server.log.read_text()
    finally:
        server.close()


def test_a_run_returns_its_result_to_the_sdk(user: Client) -> None:
    user.copy("hello.py")
    result = user.python(
        "from hello import hello\nrun = flyte.run(hello, name='Ada')\nrun.wait()\n"
        "print(json.dumps({'outputs': run.outputs()[0], 'phase': run.phase, 'name': run.name}))"
    )
    assert result["outputs"] == "Hello, Ada!"
    assert str(result["phase"]).lower().endswith("succeeded")


def test_a_run_is_followed_and_its_inputs_and_outputs_are_seen_afterwards(user: Client) -> None:
    printed = user.flyte("run", "--follow", "hello.py", "hello", "--name", "Grace")
    assert "greeting Grace" in printed
    run = run_of(printed)
    assert "Hello, Grace!" in user.flyte("get", "io", run)
    assert "greeting Grace" in user.flyte("get", "logs", run)
    assert run in user.flyte("get", "run")
    assert "hello" in user.flyte("get", "run", run)
    assert "a0" in user.flyte("get", "action", run)


def test_a_failing_task_tells_its_caller_why(user: Client) -> None:
    result = user.python(
        "from failing import divide\n"
        "try:\n"
        "    run = flyte.run(divide, numerator=1, denominator=0)\n"
        "    run.wait(quiet=True)\n"
        "    run.raise_for_status()\n"
        "except Exception as error:\n"
        "    print(json.dumps({'kind': type(error).__name__, 'text': str(error), 'run': run.name}))\n"
    )
    assert "cannot divide 1 by nothing" in result["text"]
    assert "cannot divide 1 by nothing" in user.flyte("get", "run", result["run"])


def test_a_deployed_task_is_listed_and_run_by_name(user: Client) -> None:
    user.flyte("deploy", "hello.py", "env")
    assert "hello.hello" in user.flyte("get", "task")
    assert "hello.hello" in user.flyte("get", "task", "hello.hello")
    printed = user.flyte("run", "--follow", "deployed-task", "hello.hello", "--name", "Emmy")
    assert "greeting Emmy" in printed


def test_logs_are_live_while_a_task_runs(user: Client) -> None:
    signal = user.directory / "signal"
    run = user.started("slow.py", "wait", "--signal", str(signal))
    following = subprocess.Popen(
        ["flyte", "get", "logs", run],
        env=user.environment(),
        cwd=user.directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert following.stdout
        assert next(line for line in following.stdout if "waiting" in line)
        assert user.phase(run) == "RUNNING"
        signal.touch()
        rest, _ = following.communicate(timeout=60)
        assert "signalled" in rest
        assert following.returncode == 0
    finally:
        following.kill()


def test_triggers_are_deployed_listed_paused_and_deleted(user: Client) -> None:
    user.flyte("deploy", "triggered.py", "env")
    listed = user.flyte("get", "trigger")
    assert "nightly" in listed
    assert "hourly" in listed
    details = user.flyte("get", "trigger", "triggered.work", "nightly")
    assert "30 2 * * *" in details
    assert "Europe/Vienna" in details

    user.flyte("update", "trigger", "nightly", "triggered.work", "--deactivate")
    assert not is_active(user, "nightly")
    user.flyte("update", "trigger", "nightly", "triggered.work", "--activate")
    assert is_active(user, "nightly")

    user.flyte("delete", "trigger", "hourly", "triggered.work")
    assert "hourly" not in user.flyte("get", "trigger", "triggered.work")
    assert "nightly" in user.flyte("get", "trigger", "triggered.work")


def is_active(user: Client, name: str) -> bool:
    (found,) = (each for each in user.json("get", "trigger", "triggered.work") if each["id"]["name"]["name"] == name)
    return bool(found.get("active"))


def test_a_project_is_created_and_used(user: Client) -> None:
    user.flyte("create", "project", "--id", "atlas", "--name", "Atlas")
    assert "atlas" in user.flyte("get", "project")
    printed = user.flyte("run", "--follow", "--project", "atlas", "hello.py", "hello", "--name", "Tycho")
    assert "greeting Tycho" in printed


def test_a_mistake_is_told_and_not_retried(user: Client) -> None:
    printed = user.flyte("get", "run", "rdoesnotexist", check=False)
    assert "rdoesnotexist" in printed


def test_the_schedule_fires_at_the_minute_with_the_moment_it_was_due(user: Client) -> None:
    def fired() -> str | None:
        runs = user.json("get", "run", "--task-name", "scheduled.report")
        return next((name_of(run) for run in runs if "SUCCEEDED" in json.dumps(run)), None)

    run = wait_for(fired, seconds=100, what="a scheduled fire", every=2)
    outputs = user.flyte("get", "io", run)
    slot = re.search(r"Vienna: report for \d{4}-\d\d-\d\d \d\d:\d\d", outputs)
    assert slot, outputs
    assert slot[0] in user.flyte("get", "logs", run)


def name_of(run: dict[str, dict[str, dict[str, dict[str, str]]]]) -> str:
    return run["action"]["id"]["run"]["name"]
