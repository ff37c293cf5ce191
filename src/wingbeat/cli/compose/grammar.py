"""What can be typed after `wingbeat compose`, with its help; docs/reference/commands.md is made of it."""

import json
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

RUN_STATUSES = ("running", "paused", "completed", "failed", "cancelled")
EVENT_STATUSES = (*RUN_STATUSES, "skipped", "missed", "lost", "error", "waiting", "checking", "pending")


class Typed(Namespace):
    """What was typed; each command has some of these."""

    command: Literal["start", "stop", "run", "fire", "status", "preview", "pause", "resume", "history"]
    app: str | None
    data: Path | None
    config: Path | None
    output: Literal["text", "json"]
    nsref: str
    trigger: str | None
    pairs: list[tuple[str, str]]
    document: dict[str, Any] | None
    drain: float
    wait: float
    count: int
    limit: int
    since: datetime | None
    status: str | None
    changes: bool


DESCRIPTION = """\
Scheduled DAGs of a program of yours, without a server.

The program is a Namespace, an Embedded or a TriggerManager that --app names, or a configuration file. What reads or
changes triggers works beside a process that fires them, and needs no --app where the files are in --data."""


def read(arguments: Sequence[str]) -> Typed:
    """Raises SystemExit for wrong usage, with 2, and after help."""
    made = parser()
    typed = made.parse_args(arguments, Typed())
    if typed.command == "history" and (wrong := _wrong_history(typed)):
        made.error(wrong)
    return typed


def parser() -> ArgumentParser:
    made = ArgumentParser(prog="wingbeat compose", description=DESCRIPTION, parents=[_place()])
    made.set_defaults(app=None, data=None, config=None, output="text")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str, *parents: ArgumentParser) -> ArgumentParser:
        return commands.add_parser(name, help=text, description=text, parents=[_place(), *parents])

    start = command("start", "Fire triggers until Ctrl-C or SIGTERM. Those that somebody paused stay so.")
    start.add_argument(
        "--drain", type=_seconds, default=30.0, metavar="SECONDS", help="How long runs may go on at its end."
    )
    stop = command("stop", "End the process that fires the triggers of --data, and wait for it.")
    stop.add_argument("--wait", type=_seconds, default=60.0, metavar="SECONDS", help="How long.")
    run = command("run", "Run a DAG or a callable once, in this process.", _inputs(), _output())
    run.add_argument("nsref", metavar="NSREF", help="Its name in the namespace.")
    fire = command("fire", "Fire an active trigger now, in this process, and wait for its run.", _inputs(), _output())
    _trigger(fire)
    command("status", "Say who fires, which triggers there are, and which runs are going on.", _output())
    preview = command("preview", "Show the next slots of a trigger.", _output())
    _trigger(preview)
    preview.add_argument("-n", "--count", type=_count, default=10, metavar="N", help="So many.")
    _trigger(command("pause", "Let a trigger fire no more; runs that have begun go on.", _output()))
    _trigger(command("resume", "Let a trigger fire again, or for the first time. A pause is not caught up.", _output()))
    _history(command("history", "Show what became of a trigger, or the latest runs of all.", _output()))
    return made


def _place() -> ArgumentParser:
    """Before and after the name of the command alike."""
    place = ArgumentParser(add_help=False, argument_default=SUPPRESS)
    place.add_argument(
        "--app",
        metavar="MODULE:NAME",
        help="A Namespace, an Embedded or a TriggerManager, or a function that returns one.",
    )
    place.add_argument("--data", type=Path, metavar="DIR", help="Where files are. Default: ./data, or those of --app.")
    place.add_argument(
        "--config", type=Path, metavar="FILE", help="YAML or JSON. Default: wingbeat.yaml or wingbeat.json in --data."
    )
    return place


def _inputs() -> ArgumentParser:
    inputs = ArgumentParser(add_help=False)
    inputs.add_argument(
        "--input", dest="pairs", type=_pair, action="append", default=[], metavar="NAME=VALUE",
        help="An input, by the type of its parameter; several are allowed.",
    )  # fmt: skip
    inputs.add_argument(
        "--inputs", dest="document", type=_document, metavar="JSON",
        help="An object of inputs by name, or by source and name.",
    )  # fmt: skip
    return inputs


def _output() -> ArgumentParser:
    output = ArgumentParser(add_help=False)
    output.add_argument(
        "--output", "-o", choices=("text", "json"), default="text", help="For people, or one JSON document."
    )
    return output


def _trigger(command: ArgumentParser) -> None:
    command.add_argument("trigger", metavar="TRIGGER", help="Its name.")


def _history(command: ArgumentParser) -> None:
    command.add_argument("trigger", metavar="TRIGGER", nargs="?", help="Its name. Default: runs of all.")
    command.add_argument("--limit", type=_count, default=20, metavar="N", help="The latest so many.")
    command.add_argument(
        "--since", type=_moment, metavar="MOMENT", help="Nothing before, such as 2026-03-01T08:00:00Z."
    )
    command.add_argument("--status", help="Only what ended like this: completed, failed, skipped ...")
    command.add_argument("--changes", action="store_true", help="Who activated, changed and paused the trigger.")


def _wrong_history(typed: Typed) -> str | None:
    if typed.changes and typed.trigger is None:
        return "--changes needs a TRIGGER"
    known = RUN_STATUSES if typed.trigger is None else EVENT_STATUSES
    if typed.status is not None and typed.status not in known:
        of = "runs" if typed.trigger is None else "events of a trigger"
        return f"argument --status: {typed.status!r} is unknown: {of} have {', '.join(known)}"
    return None


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ArgumentTypeError(f"{text!r} is not of the form NAME=VALUE")
    return name, value


def _document(text: str) -> dict[str, Any]:
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArgumentTypeError(f"is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ArgumentTypeError("is no JSON object of values by their names")
    return cast("dict[str, Any]", found)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise ArgumentTypeError(f"{text} is no number of seconds, 0 or more")
    return seconds


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise ArgumentTypeError(f"{text} is less than 1")
    return count


def _moment(text: str) -> datetime:
    """A day is its midnight in UTC."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        return moment
    if len(text) > len("2026-03-01"):
        raise ArgumentTypeError(f"{text} has no offset: write it like 2026-03-01T08:00:00Z")
    return moment.replace(tzinfo=UTC)
