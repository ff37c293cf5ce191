"""`wingbeat compose`: the embedded library from a terminal, in every installation.

Its one rule: it needs nothing but the standard library and `wingbeat.compose`, which it imports when a command runs.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar, assert_never

from wingbeat.cli.compose.grammar import Typed, read
from wingbeat.cli.plain import json_text, say
from wingbeat.errors import WingbeatError

if TYPE_CHECKING:
    from wingbeat.cli.compose.documents import ComposeResult
    from wingbeat.cli.compose.program import Program

T = TypeVar("T")


def main(arguments: Sequence[str]) -> int:
    """Run what was typed; the exit code. Raises SystemExit for wrong usage, with 2, and after help."""
    typed = read(arguments)
    try:
        return _run(typed)
    except WingbeatError as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        return _complain("interrupted")


def _run(typed: Typed) -> int:
    from wingbeat.cli.compose.program import Program

    program = Program(app=typed.app, data=typed.data, config=typed.config)
    match typed.command:
        case "start" | "stop":
            _serve(typed, program)
        case "run" | "fire":
            return _run_once(typed, program)
        case "status" | "preview" | "history":
            _read(typed, program)
        case "pause" | "resume":
            _change(typed, program)
        case _:
            assert_never(typed.command)
    return 0


def _serve(typed: Typed, program: "Program") -> None:
    from wingbeat.cli.compose import serving

    if typed.command == "start":
        serving.start(program, drain=typed.drain)
    else:
        say(f"process {serving.stop(program.data, wait=typed.wait)} has ended")


def _run_once(typed: Typed, program: "Program") -> int:
    """A run that fails is an error."""
    from wingbeat.cli.compose import running, views

    given = running.Given(typed.pairs, typed.document)
    if typed.command == "run":
        result = running.run(program, typed.nsref, given)
    else:
        result = running.fire(program, typed.trigger or "", given)
    _print(typed, result, views.result)
    return _complain(_why(result)) if result.status == "failed" else 0


def _read(typed: Typed, program: "Program") -> None:
    from wingbeat.cli.compose import reading, views

    if typed.command == "status":
        _print(typed, reading.status(program), views.status)
    elif typed.command == "preview":
        _print(typed, reading.preview(program, typed.trigger or "", count=typed.count), views.preview)
    elif typed.trigger is None:
        found = reading.runs(program, limit=typed.limit, since=typed.since, wanted=typed.status)
        _print(typed, found, views.runs)
    elif typed.changes:
        _print(typed, reading.changes(program, typed.trigger, limit=typed.limit), views.changes)
    else:
        events = reading.events(program, typed.trigger, limit=typed.limit, since=typed.since, wanted=typed.status)
        _print(typed, events, views.history)


def _change(typed: Typed, program: "Program") -> None:
    from wingbeat.cli.compose import changing, views

    change = changing.pause if typed.command == "pause" else changing.resume
    _print(typed, change(program, typed.trigger or ""), views.switched)


def _print(typed: Typed, document: T, as_text: Callable[[T], Iterable[str]]) -> None:
    say(json_text(document) if typed.output == "json" else "\n".join(as_text(document)))


def _why(result: "ComposeResult") -> str:
    from wingbeat.cli.compose.views import last_line

    where = f" at node {result.failed_node!r}" if result.failed_node else ""
    return f"run {result.run} failed{where}: {last_line(result.error)}"


def _complain(text: str) -> int:
    sys.stderr.write(f"wingbeat: {text}\n")
    return 1
