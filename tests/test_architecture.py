"""What holds for the whole tree, so that no rule lives in prose alone."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import flyteidl2
import pytest
from prometheus_client import generate_latest

from docs.generate import documents, states
from wingbeat.cli.main import wingbeat
from wingbeat.config.sources import leaves
from wingbeat.core.action import TRANSITIONS
from wingbeat.core.backlog import CAUSES, Cause
from wingbeat.rpc.generated import protocol_of
from wingbeat.rpc.service import broken_promises
from wingbeat.server.services import NOT_SERVED, SERVICES
from wingbeat.telemetry import COUNTERS, GAUGES, HISTOGRAMS, Metrics

REPOSITORY = Path(__file__).parent.parent
SOURCES = sorted(path for path in (REPOSITORY / "src").rglob("*.py") if "_generated" not in path.parts)
EXAMPLES = sorted((REPOSITORY / "examples").glob("*.py"))
MOST_LINES_OF_A_FILE = 500
MOST_LINES_OF_HALF_OF_THE_FILES = 120
MOST_LINES_OF_A_FUNCTION = 60
UNFINISHED = re.compile(
    r"\b(TODO|FIXME|XXX|HACK|NotImplementedError)\b|type: ignore|noqa|pragma: no cover|pyright: ignore"
)


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_no_file_is_longer_than_anybody_wants_to_read() -> None:
    assert {str(path): lines(path) for path in SOURCES if lines(path) > MOST_LINES_OF_A_FILE} == {}


def test_half_of_the_files_are_short() -> None:
    sizes = sorted(lines(path) for path in SOURCES if lines(path))
    assert sizes[len(sizes) // 2] <= MOST_LINES_OF_HALF_OF_THE_FILES


def test_no_function_is_longer_than_a_screen() -> None:
    long = [
        f"{path}:{node.lineno} {node.name}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= MOST_LINES_OF_A_FUNCTION
    ]
    assert long == []


def test_nothing_is_left_unfinished_or_excused() -> None:
    found = [
        f"{path}:{number}: {line.strip()}"
        for path in SOURCES
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if UNFINISHED.search(line)
    ]
    assert found == []


def test_every_module_says_what_it_is_for() -> None:
    assert [str(path) for path in SOURCES if lines(path) and not ast.get_docstring(ast.parse(path.read_text()))] == []


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.__name__)
def test_every_rpc_works_or_says_why_not(service: type) -> None:
    assert broken_promises(service) == []


def test_every_service_of_flyte_is_mounted_or_says_why_not() -> None:
    modules = Path(flyteidl2.__path__[0]).rglob("*_connect.py")
    known = {
        name
        for module in modules
        for name in re.findall(r"^class (\w+)(?<!Sync)\(Protocol\)", module.read_text(), re.MULTILINE)
    }
    served = {protocol_of(service) for service in SERVICES}
    assert known == {each.__name__ for each in served if each.__module__.startswith("flyteidl2.")} | set(NOT_SERVED)


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_the_generated_documents_are_current(path: Path) -> None:
    assert path.read_text() == documents()[path], "run: make generate"


def test_the_diagram_has_every_transition() -> None:
    assert states().count(" --> ") == 2 + len(TRANSITIONS) + len({end for end in TRANSITIONS.values() if end.terminal})


def test_every_setting_and_command_is_documented() -> None:
    reference = REPOSITORY / "docs" / "reference"
    settings, commands = (reference / "configuration.md").read_text(), (reference / "commands.md").read_text()
    assert [name for name, _ in leaves() if f"`{name}`" not in settings] == []
    assert [name for name in wingbeat.commands if f"## wingbeat {name}\n" not in commands] == []


def test_every_metric_is_documented() -> None:
    page = (REPOSITORY / "docs" / "reference" / "metrics.md").read_text()
    exposed = generate_latest(Metrics().registry).decode()
    families = re.findall(r"^# TYPE (wingbeat_\w+?)(?:_created)? ", exposed, re.MULTILINE)
    assert [name for name in families if f"`{name}" not in page] == []
    assert len(set(families)) == len(COUNTERS) + len(HISTOGRAMS) + len(GAUGES)


def test_every_cause_is_documented() -> None:
    assert list(CAUSES) == list(Cause)


def test_every_link_between_documents_leads_somewhere() -> None:
    documents_ = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md"), *REPOSITORY.glob("*/README.md")]
    broken = [
        f"{path.name}: {target}"
        for path in documents_
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text())
        if not (path.parent / target).exists()
    ]
    assert broken == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_every_example_loads_with_the_stock_sdk(example: Path) -> None:
    script = f"import runpy; runpy.run_path({str(example)!r})"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=REPOSITORY, timeout=60)


def loaded_by(module: str, *options: str) -> set[str]:
    """The modules that importing one brings along."""
    script = f"import sys; before = set(sys.modules); import {module}; print(*(set(sys.modules) - before))"
    command = [sys.executable, *options, "-c", script]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=REPOSITORY / "src")
    return set(done.stdout.split())


def test_importing_the_package_imports_nothing_else() -> None:
    assert loaded_by("wingbeat", "-S") == {"wingbeat"}


def test_help_needs_neither_the_server_nor_the_sdk() -> None:
    heavy = {"flyte", "flyteidl2", "connectrpc", "google.protobuf", "uvicorn", "pydantic", "wingbeat.server"}
    assert loaded_by("wingbeat.cli.main") & heavy == set()


def test_a_bare_installation_says_what_the_command_needs() -> None:
    script = "import sys; sys.modules['rich_click'] = None; from wingbeat.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert done.stderr == (
        "wingbeat: only `wingbeat compose` comes with the library; for the rest: pip install 'wingbeat[server]'\n"
    )
    assert done.returncode == 1


def test_settings_need_neither_the_server_nor_the_sdk() -> None:
    assert loaded_by("wingbeat.config.sources") & {"flyte", "flyteidl2", "uvicorn", "yaml", "rich_click"} == set()


def test_a_bare_installation_needs_pydantic_and_zones_only() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert {re.split(r"[<>=\[]", need)[0] for need in project["dependencies"]} == {"pydantic", "tzdata"}
