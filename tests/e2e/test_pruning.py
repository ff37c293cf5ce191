"""Real runs, with files of theirs, of which some are pruned."""

import sqlite3
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.running import Client
from tests.e2e.workflows import Outcome, Wanted, outcomes, serving

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

RUNS = {
    "files": Wanted("cargo.relay"),
    "kept": Wanted("cargo.echo", {"text": "kept"}),
    "echo": Wanted("cargo.echo", {"text": "gone"}),
}


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Generator[Client]:
    with serving(tmp_path_factory.mktemp("pruning"), "cargo.py") as client:
        yield client


@pytest.fixture(scope="module")
def ended(user: Client) -> dict[str, Outcome]:
    """All are over; `files` and `echo` two months ago."""
    found = outcomes(user, RUNS)
    with closing(sqlite3.connect(data(user) / "wingbeat.db", timeout=30)) as database:
        two_months = 60 * 86_400_000_000
        for name in ("files", "echo"):
            database.execute(
                "UPDATE action SET ended_at = ended_at - ? WHERE run = ? AND parent IS NULL",
                (two_months, found[name].run),
            )
        database.commit()
    return found


def data(user: Client) -> Path:
    return user.server.directory / "data"


def files(user: Client, run: str) -> list[Path]:
    return [path for path in (data(user) / "blobs").rglob("*") if path.is_file() and run in path.parts]


def test_old_runs_go_with_their_files_and_the_others_stay(user: Client, ended: dict[str, Outcome]) -> None:
    gone, kept = (ended["files"].run, ended["echo"].run), ended["kept"].run
    assert ended["files"].phase == "succeeded"
    assert len(files(user, ended["files"].run)) > 10
    shown = user.run("wingbeat", "prune").stdout
    assert "would prune 2 runs" in shown
    assert all(name in shown for name in gone)
    assert all(files(user, name) for name in gone)
    assert "pruned 2 runs" in user.run("wingbeat", "prune", "--older-than", "30d", "--yes").stdout
    assert [files(user, name) for name in gone] == [[], []]
    assert {run["action"]["id"]["run"]["name"] for run in user.json("get", "run")} == {kept}
    assert 'ActionOutputs(o0="kept")' in user.flyte("get", "io", kept)
    assert "would prune 0 runs" in user.run("wingbeat", "prune").stdout
    for name in gone:
        for asked in (("rerun", name), ("get", "io", name)):
            said = user.run("flyte", "--no-progress", *asked, check=False)
            assert "was pruned" in said.stdout + said.stderr
            assert "inputs" in said.stdout + said.stderr


def test_code_that_was_uploaded_runs_again(user: Client, ended: dict[str, Outcome]) -> None:
    again = outcomes(user, {"echo": Wanted("cargo.echo", {"text": "again"})})["echo"]
    assert (again.output, ended["kept"].output) == ("again", "kept")
    assert user.flyte("rerun", ended["kept"].run)
