"""What goes into a run, between its tasks, and out of it again: values, files, directories, reports, code."""

import os
from collections.abc import Generator

import pytest

from tests.e2e.running import Client
from tests.e2e.workflows import Outcome, Wanted, outcomes, serving

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

MEBIBYTE = 1024 * 1024
BALLAST = 20 * MEBIBYTE


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Generator[Client]:
    with serving(tmp_path_factory.mktemp("data"), "cargo.py") as client:
        yield client


@pytest.fixture(scope="module")
def ended(user: Client) -> dict[str, Outcome]:
    runs = {
        "relay": Wanted("cargo.relay"),
        "haul": Wanted("cargo.haul", {"megabytes": 12}),
        "echo": Wanted("cargo.echo", {"text": "hello"}),
        "report": Wanted("cargo.report_on", {"subject": "the cat"}),
    }
    return outcomes(user, runs)


def test_files_and_directories_go_from_task_to_task(ended: dict[str, Outcome]) -> None:
    assert ended["relay"].output == ["SHALL I\nCOMPARE THEE", "0", "1", "2"]


def test_values_of_more_than_ten_megabytes_go_from_task_to_task(ended: dict[str, Outcome]) -> None:
    assert ended["haul"].output == 12 * MEBIBYTE


def test_inputs_and_outputs_are_shown(user: Client, ended: dict[str, Outcome]) -> None:
    shown = user.flyte("get", "io", ended["echo"].run)
    assert 'ActionOutputs(o0="hello")' in shown
    assert "{'text': 'hello'}" in shown


def test_a_report_is_downloaded(user: Client, ended: dict[str, Outcome]) -> None:
    script = f"print(json.dumps(flyte.remote.Run.get({ended['report'].run!r}).get_report()))"
    assert "<b>the cat is well</b>" in user.python("import flyte.remote\n" + script)


def test_files_directories_and_large_values_go_from_the_client_to_tasks_and_back(user: Client) -> None:
    (user.directory / "poem.txt").write_text("my love is like")
    (user.directory / "album").mkdir()
    for name in ("first", "second"):
        (user.directory / "album" / name).write_text(name)
    result = user.python(SHIP, variables=user.configure())
    assert result["picked"] == ["first", "second"]
    assert result["poem"] == "MY LOVE IS LIKE"
    assert result["length"] == 12 * MEBIBYTE
    assert result["leaves"] == ["branch-0", "branch-1"]


SHIP = """
from pathlib import Path
from flyte.io import Dir, File
import cargo

runs = {
    "picked": flyte.run(cargo.pick, tree=Dir.from_local_sync("album")),
    "poem": flyte.run(cargo.shout, poem=File.from_local_sync("poem.txt")),
    "length": flyte.run(cargo.echo, text="x" * (12 * 1024 * 1024)),
    "leaves": flyte.run(cargo.grow_a_tree, leaves=2),
}
for run in runs.values():
    run.wait(quiet=True)
found = {name: run.outputs()[0] for name, run in runs.items()}
found["poem"] = Path(found["poem"].download_sync()).read_text()
found["length"] = len(found["length"])
found["leaves"] = sorted(child.name for child in Path(found["leaves"].download_sync("downloaded")).rglob("branch-*"))
print(json.dumps(found))
"""


def test_tables_go_from_the_client_to_tasks_and_back(user: Client) -> None:
    user.write("tables.py", TABLES)
    result = user.python(SHIP_TABLES, variables=user.configure())
    assert result == {"squares": [1, 4, 9], "total": 14}


TABLES = """
import flyte
import pandas

env = flyte.TaskEnvironment(name="tables")


@env.task
async def square(table: pandas.DataFrame) -> pandas.DataFrame:
    return table.assign(square=table["number"] ** 2)


@env.task
async def total(table: pandas.DataFrame) -> int:
    return int((await square(table))["square"].sum())
"""
SHIP_TABLES = """
import pandas
import tables

table = pandas.DataFrame({"number": [1, 2, 3]})
squared, total = flyte.run(tables.square, table=table), flyte.run(tables.total, table=table)
for run in (squared, total):
    run.wait(quiet=True)
opened = squared.outputs()[0].open(pandas.DataFrame).all_sync()
print(json.dumps({"squares": opened["square"].tolist(), "total": total.outputs()[0]}))
"""


def test_code_of_twenty_megabytes_goes_to_the_task_and_can_be_downloaded(user: Client) -> None:
    # Bytes that no archive makes smaller, on one line: the SDK uploads line by line.
    (user.directory / "ballast.bin").write_bytes(os.urandom(BALLAST).translate(bytes.maketrans(b"\n", b" ")))
    result = user.python(
        "import cargo\n"
        "run = flyte.with_runcontext(copy_style='all').run(cargo.weigh, name='ballast.bin')\n"
        "run.wait(quiet=True)\n"
        "print(json.dumps({'weight': run.outputs()[0], 'code': str(run.download_code('code'))}))\n"
    )
    assert result["weight"] == BALLAST
    code = user.directory / result["code"]
    assert (code / "ballast.bin").read_bytes() == (user.directory / "ballast.bin").read_bytes()
    assert (code / "cargo.py").read_text() == (user.directory / "cargo.py").read_text()
