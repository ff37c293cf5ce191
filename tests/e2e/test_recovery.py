"""A server that is killed or stopped while tasks run: nothing is lost, nothing is done twice. On both databases."""

from pathlib import Path

import pytest

from tests.e2e.running import Client, Server, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

DIARY = """
import time
from pathlib import Path

import flyte

env = flyte.TaskEnvironment(name="diary")


@env.task
def keep(path: str, seconds: float) -> str:
    with Path(path).open("a") as diary:
        print("begun", file=diary, flush=True)
        print("I have begun", flush=True)
        time.sleep(seconds)
        print("ended", file=diary)
        print("I have ended", flush=True)
    return "kept"
"""


def test_a_task_outlives_a_killed_and_a_stopped_server_and_runs_once(database_url: str, tmp_path: Path) -> None:
    server = Server(tmp_path / "server", options=("--database", database_url))
    user = Client(server, tmp_path / "work")
    try:
        server.start()
        user.configure()
        user.write("diary.py", DIARY)
        diary = tmp_path / "diary"
        run = user.started("diary.py", "keep", "--path", str(diary), "--seconds", "8")
        wait_for(diary.exists, seconds=30, what="the task's start", every=0.1)
        server.kill()
        server.start()
        assert "1 running action" in server.stop()
        server.start()
        wait_for(lambda: user.phase(run) == "SUCCEEDED", seconds=40, what="the end of the run")
        assert diary.read_text().split() == ["begun", "ended"]
        assert "kept" in user.flyte("get", "io", run)
        logs = user.flyte("get", "logs", run)
        assert logs.count("I have begun") == logs.count("I have ended") == 1
        assert user.attempts(run) == 1
        assert "running action" not in server.stop()
    finally:
        server.close()


def test_what_ended_while_no_server_ran_is_taken_in_by_the_next(tmp_path: Path) -> None:
    server = Server(tmp_path / "server")
    user = Client(server, tmp_path / "work")
    try:
        server.start()
        user.configure()
        user.write("diary.py", DIARY)
        diary = tmp_path / "diary"
        run = user.started("diary.py", "keep", "--path", str(diary), "--seconds", "2")
        wait_for(diary.exists, seconds=30, what="the task's start", every=0.1)
        server.kill()
        wait_for(lambda: "ended" in diary.read_text(), seconds=30, what="the task's end", every=0.1)
        server.start()
        wait_for(lambda: user.phase(run) == "SUCCEEDED", seconds=30, what="the end of the run")
        assert user.attempts(run) == 1
    finally:
        server.close()
