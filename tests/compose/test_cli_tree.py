"""Command lines made of functions and models: what is typed reaches them with its types, what is wrong is said."""

from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from wingbeat.compose.cli import ActionTree, Main, PathValue, RunContext, RunResult, param_to_value
from wingbeat.compose.methods import Method


class Server(BaseModel):
    """The server"""

    data: Path = Field(default=Path("data"), description="where it keeps things")
    port: int = Field(default=80, description="where it listens")


class Config(BaseModel):
    name: str


class Colour(Enum):
    RED = "red"


@pytest.fixture
def called() -> list[Any]:
    return []


@pytest.fixture
def main(called: list[Any]) -> ActionTree:
    tree = ActionTree(Main)
    server = tree.actions.add(Server)

    def start(ctx: RunContext, name: str, times: int = 1, loud: bool = False) -> None:
        """Starts it"""
        called.append((ctx.path.get("/server"), name, times, loud))
        ctx.print(f"{ctx.path} started")

    def fail() -> None:
        """Does not work"""
        raise RuntimeError("no such luck")

    def configure(config: Config) -> None:
        """Sets it"""
        called.append(config)

    for command in (start, fail, configure):
        server.actions.wrap(command)
    return tree


def run(main: ActionTree, words: str) -> RunResult:
    return main.run_args(["/usr/bin/prog", *words.split()], print_func=None)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("server start a", (Server(), "a", 1, False)),
        ("server --port=90 start a --times 2 --loud", (Server(port=90), "a", 2, True)),
        ("--verbose server --data x --port 1 start a --loud=no", (Server(data=Path("x"), port=1), "a", 1, False)),
    ],
)
def test_what_is_typed_reaches_the_command(main: ActionTree, called: list[Any], words: str, expected: object) -> None:
    result = run(main, words)
    assert (result.success, result.msgs) == (True, ["/server/start started"])
    assert called == [expected]


def test_a_model_is_given_as_json(main: ActionTree, called: list[Any]) -> None:
    assert run(main, 'server configure {"name":"x"}').success
    assert called == [Config(name="x")]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("", "Error: Action need to be specified, expected one of server"),
        ("-x", "Error: Argument '-x' is not a valid"),
        ("server start", "Error: Required arguments are missing: <name>"),
        ("server start --loud", "Error: Argument name is required, but getting option --loud"),
        ("server --port", "Error: Value is not provided for --port"),
        ("server --port 1 --port 2", "Error: --port is already set to 1"),
        ("server --colour x", "Error: --colour is not a valid option, expected one of ['--data', '--port']"),
        ("server --port x start a", "Error: 1 validation error for int"),
        ("server start a --times x", "Error: 1 validation error for int"),
        ("server configure {}", "Error: 1 validation error for Config"),
    ],
)
def test_what_is_wrong_is_said_before_the_help(main: ActionTree, called: list[Any], words: str, error: str) -> None:
    result = run(main, words)
    assert not result.success
    assert result.msgs[0].startswith(error)
    assert result.msgs[1] == "Usage: "
    assert called == []


def test_help_is_a_tree(main: ActionTree) -> None:
    assert run(main, "--help server start a").msgs == [
        "Usage: ",
        "  prog server start",
        "    <name> - str: ",
        "    [--times=value] - int: . Default: 1",
        "    [--loud] - bool: . Default: False",
    ]
    everything = run(main, "").msgs[1:]
    assert everything[:6] == [
        "Usage: ",
        "  prog ",
        "    [--help] - bool: Show help. Default: False",
        "    [--verbose] - bool: Show full tracebacks on error. Default: False",
        "    Actions:",
        "      server - The server",
    ]
    assert everything[-1] == "                <config> - Config: "


@pytest.mark.parametrize(("words", "traced"), [("server fail", False), ("--verbose server fail", True)])
def test_what_a_command_raises_is_an_error(main: ActionTree, words: str, traced: bool) -> None:
    result = run(main, words)
    assert not result.success
    (said,) = result.msgs
    assert ("Traceback" in said, "no such luck" in said) == (traced, True)


def test_messages_are_printed(main: ActionTree, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run_args(["prog", "server", "start", "a"]).msgs == []
    assert capsys.readouterr().out == "/server/start started\n"


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ("5", int, 5),
        ("5", str, "5"),
        ("5", int | None, 5),
        ("null", int | None, None),
        ("1.5", int | float, 1.5),
        ("YES", bool, True),
        ("[1, 2]", list[int], [1, 2]),
        ("2026-03-01", date, date(2026, 3, 1)),
        ("red", Colour, Colour.RED),
        ("/tmp", Path, Path("/tmp")),
        ("5", None, "5"),
        ("5", Any, 5),
        ("five", Any, "five"),
    ],
)
def test_text_becomes_what_the_annotation_says(text: str, annotation: Any, value: Any) -> None:
    def function(x: Any) -> None: ...

    (param,) = Method(function).args
    assert param_to_value(param.model_copy(update={"annotation": annotation}), text) == value


def test_a_type_that_no_text_stands_for_is_an_error() -> None:
    class Opaque: ...

    def function(x: Opaque) -> None: ...

    param = Method(function).args[0].model_copy(update={"annotation": Opaque})
    with pytest.raises(ValueError, match="Opaque cannot be written as text"):
        param_to_value(param, "x")


def test_a_path_knows_what_was_on_it() -> None:
    root = PathValue.root()
    root.value = 1
    leaf = PathValue("b", PathValue("a", root, 2), 3)
    assert [leaf.get("/"), leaf.get("/a/"), leaf.get("/a/b"), leaf.get_back(9)] == [1, 2, 3, None]
    with pytest.raises(ValueError, match="not contained in /a/b"):
        leaf.get("/b")
    with pytest.raises(ValueError, match="is no step"):
        PathValue("", root)
