"""`wingbeat compose start` and `stop`: processes that fire, one for a data directory, and how they end."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.compose_desk import APP, ComposeDesk, wait_until
from wingbeat.cli.compose import lock
from wingbeat.errors import FailedPrecondition

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def compose(tmp_path: Path) -> ComposeDesk:
    return ComposeDesk(tmp_path / "data")


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A line for each run that has begun."""
    return tmp_path / "notes"


@pytest.fixture
def start(compose: ComposeDesk, notes: Path) -> Iterator[Start]:
    """Starts a process that fires; whatever is left of it is killed."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
        process = compose.process(*APP, "start", *arguments, MARKET_NOTES=str(notes), **environment)
        started.append(process)
        wait_until(lambda: process.poll() is not None or compose_pid(compose) == process.pid)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def compose_pid(compose: ComposeDesk) -> int | None:
    return lock.holder(compose.data)


def runs(compose: ComposeDesk) -> list[dict[str, Any]]:
    return compose("history", "--output", "json").json["runs"]


def test_it_fires_is_seen_obeys_and_ends(compose: ComposeDesk, start: Start, notes: Path) -> None:
    process = start()
    wait_until(notes.exists)
    shown = compose("status", "--output", "json").json
    assert (shown["running"], shown["pid"]) == (True, process.pid)
    assert {each["name"] for each in shown["triggers"]} == {"hourly", "by_hand", "broken", "every_second"}

    second = compose(*APP, "start")
    assert f"process {process.pid} fires the triggers of" in second.complaint

    assert compose("pause", "every_second").code == 0
    fire = compose.process(*APP, "fire", "by_hand")
    assert 'describe: "MSFT at 185.0"' in fire.communicate(timeout=20)[0]
    before = len(notes.read_text())
    assert compose("resume", "every_second").code == 0
    wait_until(lambda: len(notes.read_text()) > before)

    assert compose("pause", "every_second").code == 0
    wait_until(lambda: not [run for run in runs(compose) if run["status"] == "running"])
    assert compose("stop").out == f"process {process.pid} has ended\n"
    out, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (0, "")
    assert "active: every_second" in out
    assert {run["status"] for run in runs(compose)} == {"completed"}
    assert "nothing to stop" in compose("stop").complaint

    again = start()
    compose("stop")
    assert "left disabled: every_second" in again.communicate(timeout=10)[0]


def test_what_has_begun_is_waited_for_at_the_end(compose: ComposeDesk, start: Start, notes: Path) -> None:
    process = start(MARKET_LINGER="1.5")
    wait_until(notes.exists)
    assert compose("stop").code == 0
    process.communicate(timeout=10)
    assert [run["status"] for run in runs(compose)] == ["completed"]


def test_what_lasts_too_long_is_cut_off_and_done_again(compose: ComposeDesk, start: Start, notes: Path) -> None:
    process = start("--drain", "0.2", MARKET_LINGER="60")
    wait_until(notes.exists)
    assert compose("stop", "--wait", "10").code == 0
    process.communicate(timeout=10)
    assert process.returncode == 0
    assert [run["status"] for run in runs(compose)] == ["cancelled"]
    compose("pause", "every_second")
    start(MARKET_LINGER="0")
    wait_until(lambda: [run["status"] for run in runs(compose)] == ["completed"])


def test_a_second_signal_does_not_wait(start: Start, notes: Path) -> None:
    process = start(MARKET_LINGER="60")
    wait_until(notes.exists)
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    while "stopping" not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 0


def test_a_killed_process_is_not_taken_for_a_running_one(compose: ComposeDesk, start: Start, notes: Path) -> None:
    process = start(MARKET_LINGER="60")
    wait_until(notes.exists)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    shown = compose("status", "--output", "json").json
    assert (shown["running"], shown["pid"]) == (False, None)
    assert [run["status"] for run in shown["runs"]] == ["crashed"]
    assert "nothing to stop" in compose("stop").complaint

    assert compose("pause", "every_second").code == 0
    start(MARKET_LINGER="0")
    wait_until(lambda: [run["status"] for run in runs(compose)] == ["completed"])


def test_a_fire_by_hand_that_is_ended_stays_so(compose: ComposeDesk, start: Start, notes: Path) -> None:
    compose(*APP, "resume", "every_second")
    fire = compose.process(*APP, "fire", "every_second", MARKET_NOTES=str(notes), MARKET_LINGER="60")
    wait_until(notes.exists)
    fire.send_signal(signal.SIGTERM)
    _, err = fire.communicate(timeout=10)
    assert (fire.returncode, err) == (1, "wingbeat: the run was cancelled by SIGTERM\n")
    start(MARKET_LINGER="0")
    wait_until(lambda: [each["status"] for each in manual_events(compose)] == ["cancelled"])
    assert {each["status"] for each in runs(compose) if each["run"] == manual_events(compose)[0]["run"]} == {
        "cancelled"
    }


def manual_events(compose: ComposeDesk) -> list[dict[str, Any]]:
    events = compose("history", "every_second", "--limit", "100", "--output", "json").json["events"]
    return [each for each in events if each["kind"] == "manual"]


def test_a_file_that_names_a_process_holds_nothing(compose: ComposeDesk) -> None:
    compose.data.mkdir()
    (compose.data / lock.FILE).write_text(f"{os.getpid()}:1")
    assert lock.holder(compose.data) is None
    with lock.held(compose.data):
        assert lock.holder(compose.data) == os.getpid()
        with pytest.raises(FailedPrecondition, match=f"process {os.getpid()}"), lock.held(compose.data):
            pytest.fail("two hold it")
    assert lock.holder(compose.data) is None


def test_a_child_that_outlives_its_parent_holds_nothing(compose: ComposeDesk) -> None:
    reader, writer = os.pipe()
    with lock.held(compose.data):
        child = os.fork()
        if child == 0:
            os.read(reader, 1)
            os._exit(0)
    try:
        assert lock.holder(compose.data) is None
    finally:
        os.write(writer, b".")
        os.waitpid(child, 0)
        os.close(reader)
        os.close(writer)


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    assert "cannot be used" in ComposeDesk(tmp_path / "data")("start").complaint


def test_a_trigger_that_is_wrong_is_an_error_at_the_start(compose: ComposeDesk, tmp_path: Path) -> None:
    compose.data.mkdir()
    (compose.data / "wingbeat.json").write_text(
        json.dumps(
            {
                "namespace": [
                    {"gref": "tests.cli.market:double", "triggers": [{"schedule": "* * * * *", "payload": {"x": 1}}]}
                ]
            }
        )
    )
    assert "nothing takes x" in compose("start").complaint
    assert compose_pid(compose) is None
