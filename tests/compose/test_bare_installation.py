"""`pip install wingbeat`, without an extra: the whole embedded library works with pydantic and tzdata alone."""

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest

from tests.documents import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
LOAD_EVERYTHING = """
import json, pkgutil
from importlib import import_module
names = ["wingbeat.testing"]
for package in map(import_module, ["wingbeat.compose", "wingbeat.store.compose", "wingbeat.cli.compose"]):
    names += [each.name for each in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
print(json.dumps([import_module(name).__name__ for name in names]))
"""
RUN_AND_FIRE = """
import asyncio, datetime, pathlib
from wingbeat.compose.dag_provenance import DagProvenance
from wingbeat.compose.namespace import Dag, Namespace
from wingbeat.compose.trigger import TriggerManager, TriggerStore
from wingbeat.testing import FakeClock

def one() -> int: return 1
def more(number: int) -> str: return f"{number} and more"

ns, clock = Namespace(), FakeClock()
with Dag() as dag: dag.node(one) >> dag.node(more)
ns.register(dag, nsref="a:dag")
ns.register_trigger("t", "a:dag", "poll", "* * * * *", timezone="Europe/Paris")
runs = DagProvenance(pathlib.Path("runs.db"))
manager = TriggerManager(ns, TriggerStore("triggers.db", clock=clock), runs)
manager.activate("t")
clock.forward(datetime.timedelta(minutes=1))
assert asyncio.run(manager.tick()) == 1
run, = runs.get_recent_runs()
runs.load_io(run)
print(run.status, run.nodes["more"].io.output_json)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pip would install: our package, and what it needs by its own word."""
    site = tmp_path_factory.mktemp("site")
    (site / "wingbeat").symlink_to(REPOSITORY / "src" / "wingbeat")
    for name in needed(PROJECT["dependencies"]):
        files = distribution(name).files or []
        for top in {file.parts[0] for file in files if file.parts[0] not in ("..", "__pycache__")}:
            (site / top).symlink_to(Path(str(distribution(name).locate_file(top))))
    return site


def needed(requirements: list[str]) -> set[str]:
    """By name, with all that they need; extras are not asked for."""
    found: set[str] = set()
    for requirement in requirements:
        name = re.split(r"[\s<>=!~;\[(]", requirement)[0]
        if name and "extra ==" not in requirement and name not in found:
            found |= {name} | needed(distribution(name).requires or [])
    return found


def run(site: Path, folder: Path, *arguments: str, code: int = 0) -> str:
    """Python with nothing but the site and its own library."""
    done = subprocess.run(
        [sys.executable, "-S", *arguments],
        cwd=folder,
        env={"PYTHONPATH": f"{site}:{REPOSITORY}", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout or done.stderr


def test_every_module_of_it_can_be_imported(site: Path, tmp_path: Path) -> None:
    loaded = json.loads(run(site, tmp_path, "-c", LOAD_EVERYTHING))
    assert {"wingbeat.compose.trigger", "wingbeat.compose.cli", "wingbeat.cli.compose.command"} <= set(loaded)


def test_a_dag_is_recorded_and_a_trigger_fires(site: Path, tmp_path: Path) -> None:
    assert run(site, tmp_path, "-c", RUN_AND_FIRE) == 'completed "1 and more"\n'


def test_the_command_works(site: Path, tmp_path: Path) -> None:
    compose = ("-m", "wingbeat", "compose", "--data", str(tmp_path))
    assert "no `wingbeat compose start` runs on" in run(site, tmp_path, *compose, "status")
    app = ("--app", "tests.cli.market:program")
    assert "AAPL at 185.0" in run(site, tmp_path, *compose, *app, "run", "market:summary")
    assert "active" in run(site, tmp_path, *compose, *app, "resume", "by_hand")
    assert "MSFT at 185.0" in run(site, tmp_path, *compose, *app, "fire", "by_hand")
    assert "pip install pyyaml" in run(site, tmp_path, *compose, "--config", config(tmp_path), "status", code=1)
    assert "wingbeat[server]" in run(site, tmp_path, "-m", "wingbeat", "serve", code=1)


def config(folder: Path) -> str:
    (folder / "c.yaml").write_text("app: tests.cli.market:program\n")
    return str(folder / "c.yaml")
