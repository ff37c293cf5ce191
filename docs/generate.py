"""Writes the parts of the documents that the code knows better; `--check` only says whether they are current."""

import argparse
import re
import sys
from collections.abc import Iterator
from datetime import timedelta
from inspect import cleandoc
from pathlib import Path
from typing import Any, cast

import rich_click as click
from pydantic import ByteSize

from wingbeat.cli.main import wingbeat
from wingbeat.config.sources import leaves, variable
from wingbeat.core.action import TRANSITIONS
from wingbeat.rpc.generated import endpoints_of, protocol_of
from wingbeat.rpc.service import reasons
from wingbeat.server.services import NOT_SERVED, SERVICES
from wingbeat.wire import unhonoured

DOCS = Path(__file__).parent


def configuration() -> str:
    rows = [
        f"| `{name}` | `{variable(name)}` | {_default(field.default)} | {field.description} |"
        for name, field in leaves()
    ]
    return "\n".join(
        (
            "# Settings",
            "",
            "Flags of `wingbeat serve` win over the environment, that over the file named by `--config` or",
            "`WINGBEAT_CONFIG`, and that over the defaults. The file is YAML, nested by the dots of the names; in a",
            "name case, `-` and `_` do not matter. Durations are written `30s`, `1h30m`; sizes `32MiB`; lists in the",
            "environment `a,b`. A name that nobody knows is an error, never ignored.",
            "",
            "| setting | environment | default | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
        )
    )


def commands() -> str:
    parts = [
        "# Commands",
        "",
        "`-h` after any command says the same. Exit codes: 0, 1 for an error in one line, 2 for wrong usage.",
    ]
    for name in sorted(wingbeat.commands):
        parts += ["", *_command(name, wingbeat.commands[name])]
    return "\n".join(parts) + "\n"


def compatibility() -> str:
    parts = [
        "# Compatibility with Flyte 2",
        "",
        "The stock `flyte` SDK and CLI (2.12) are the reference. A call that does not work yet is refused with the",
        "reason, never answered as if it had worked.",
        "",
        "## RPCs",
    ]
    for service in sorted(SERVICES, key=lambda each: protocol_of(each).__name__):
        parts += ["", *_service(service)]
    parts += ["", "## Services that are not served", "", "| service | |", "|---|---|"]
    parts += [f"| {name} | {reason} |" for name, reason in NOT_SERVED.items()]
    parts += ["", "## What a task may ask for and does not get yet", "", *_fields(unhonoured.TASK)]
    parts += ["", "## What a run or trigger may ask for and does not get yet", "", *_fields(unhonoured.RUN)]
    return "\n".join(parts) + "\n"


def states() -> str:
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> QUEUED"]
    lines += [f"    {phase.name} --> {after.name}: {event}" for (phase, event), after in TRANSITIONS.items()]
    ends = dict.fromkeys(after for after in TRANSITIONS.values() if after.terminal)
    lines += [f"    {phase.name} --> [*]" for phase in ends]
    return "\n".join((*lines, "```"))


def documents() -> dict[Path, str]:
    """Each generated document as it should be."""
    architecture = DOCS / "architecture.md"
    return {
        DOCS / "reference" / "configuration.md": configuration(),
        DOCS / "reference" / "commands.md": commands(),
        DOCS / "reference" / "compatibility.md": compatibility(),
        architecture: _with_part(architecture.read_text(), "states", states()),
    }


def outdated() -> list[Path]:
    return [path for path, text in documents().items() if not path.exists() or path.read_text() != text]


def _default(value: Any) -> str:
    match value:
        case None:
            return ""
        case timedelta():
            return f"`{value.total_seconds():g}s`"
        case ByteSize():
            return f"`{value.human_readable()}`"
        case bool():
            return f"`{str(value).lower()}`"
        case tuple():
            return f"`[{', '.join(cast('tuple[str, ...]', value))}]`"
        case _:
            return f"`{value}`"


def _command(name: str, command: click.Command) -> Iterator[str]:
    yield f"## wingbeat {name}"
    yield ""
    yield from cleandoc(command.help or "").splitlines()
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    if options:
        yield ""
        yield "| option | meaning |"
        yield "|---|---|"
    for option in options:
        value = "" if option.is_flag else f" {option.make_metavar(click.Context(command))}"
        default = f" Default: `{option.default}`." if option.show_default else ""
        yield f"| `{', '.join(option.opts)}{value}` | {_sentence(option.help or '')}{default} |"


def _sentence(text: str) -> str:
    return re.sub(r"\.?\s+\[default: (.*)\]", r". Default: \1.", text)


def _service(service: type) -> Iterator[str]:
    yield f"### {protocol_of(service).__name__}"
    yield ""
    yield "| RPC | |"
    yield "|---|---|"
    missing = reasons(service)
    for endpoint in endpoints_of(service).values():
        name = endpoint.method.name
        yield f"| {name} | {f'not yet: {missing[name]}' if name in missing else 'works'} |"


def _fields(table: tuple[unhonoured.Unhonoured, ...]) -> Iterator[str]:
    yield "| field | instead |"
    yield "|---|---|"
    for entry in table:
        yield f"| `{entry.field}` | {entry.instead} |"


def _with_part(text: str, name: str, part: str) -> str:
    pattern = re.compile(rf"(<!-- generated: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    return pattern.sub(lambda found: f"{found[1]}{part}\n{found[2]}", text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if something is not current")
    if parser.parse_args().check:
        late = outdated()
        if late:
            sys.exit(f"not current: {', '.join(map(str, late))}; run: make generate")
        return
    for path, text in documents().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
