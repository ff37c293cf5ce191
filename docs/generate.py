"""Writes the parts of the documents that the code knows better; `--check` only says whether they are current."""

import argparse
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import datetime, timedelta
from inspect import cleandoc
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, cast, get_args, get_origin, get_type_hints

import rich_click as click
from pydantic import ByteSize

from wingbeat.cli import prune_documents, run_documents, trigger_documents
from wingbeat.cli.compose import documents as compose_documents
from wingbeat.cli.compose.grammar import parser as compose_parser
from wingbeat.cli.main import wingbeat
from wingbeat.config.sources import leaves, variable
from wingbeat.core.action import TRANSITIONS
from wingbeat.core.backlog import CAUSES
from wingbeat.core.policy import KEYS, PREFIX
from wingbeat.loops.surveyor import EVERY_SECONDS
from wingbeat.rpc.generated import endpoints_of, protocol_of
from wingbeat.rpc.service import reasons
from wingbeat.server.services import NOT_SERVED, SERVICES
from wingbeat.telemetry import COUNTERS, GAUGES, HISTOGRAMS
from wingbeat.wire import unhonoured

DOCS = Path(__file__).parent
UP = "../../"
"""From a page of the reference to the repository."""
PROTOS = ("proto/wingbeat/automation/v1/automation.proto", "proto/wingbeat/retention/v1/retention.proto")

DOCUMENTS = (
    run_documents.RunList,
    run_documents.RunShown,
    run_documents.RunTree,
    run_documents.Aborted,
    run_documents.RunAgain,
    run_documents.Signalled,
    run_documents.RunSummary,
    run_documents.AttemptShown,
    run_documents.Failure,
    run_documents.Event,
    run_documents.ActionNode,
    run_documents.ConditionShown,
    trigger_documents.TriggerList,
    trigger_documents.TriggerShown,
    trigger_documents.FireList,
    trigger_documents.PreviewShown,
    trigger_documents.Fired,
    trigger_documents.DiffShown,
    trigger_documents.ForecastShown,
    trigger_documents.HealthShown,
    trigger_documents.BackfillPlan,
    trigger_documents.BackfillList,
    trigger_documents.BackfillShown,
    trigger_documents.TriggerSummary,
    trigger_documents.PauseShown,
    trigger_documents.FireShown,
    trigger_documents.SlotShown,
    trigger_documents.InputShown,
    trigger_documents.FieldChange,
    trigger_documents.BucketShown,
    trigger_documents.LoadShown,
    trigger_documents.FailingShown,
    trigger_documents.NodeShown,
    prune_documents.Pruning,
    prune_documents.KeptRuns,
    compose_documents.ComposeStatus,
    compose_documents.ComposeResult,
    compose_documents.ComposePreview,
    compose_documents.ComposeHistory,
    compose_documents.ComposeRuns,
    compose_documents.ComposeChanges,
    compose_documents.ComposeSwitched,
    compose_documents.ComposeTrigger,
    compose_documents.ComposeRun,
    compose_documents.ComposeEvent,
    compose_documents.ComposeChange,
)
"""What commands print as JSON, and what that is made of."""

_JSON_TYPES = {
    str: "string",
    int: "number",
    float: "number",
    bool: "true or false",
    datetime: "moment",
    type(None): "null",
}


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
            "## Who calls",
            "",
            "By default the server knows nobody. It learns who calls in one of two ways; `deployed_by` of tasks and",
            "triggers, `updated_by` of triggers, `executed_by` of runs and `flyte whoami` come from there.",
            "[How to say who calls](../how-to/identity.md) has examples.",
            "",
            "**By a proxy.** `server.identityHeader` names the header in which a proxy that authenticates says who",
            "calls, `X-Forwarded-User` say. The proxy must replace the header where a client has sent it, and nobody",
            "may reach the server but through the proxy: whoever does is who he says he is. A call that carries the",
            "header twice is refused.",
            "",
            "**By bearer tokens.** With `server.bearer` the JSON Web Token in `authorization` or",
            "`proxy-authorization` is checked: its signature by the issuer's keys, issuer, audience, and that it is in",
            "force. A wrong token is UNAUTHENTICATED, and the error says why. A call without a token is nobody's, or",
            "refused with `required`.",
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
        parts += _compose() if name == "compose" else _command(("wingbeat", name), wingbeat.commands[name])
    parts += _json_documents()
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
    for service in _services(ours=False):
        parts += ["", *_service(service)]
    links = ", ".join(f"[{path}]({UP}{path})" for path in PROTOS)
    parts += ["", "## RPCs of our own", "", f"What the Flyte API has no words for: {links}."]
    for service in _services(ours=True):
        parts += ["", *_service(service)]
    parts += ["", "## Services that are not served", "", "| service | |", "|---|---|"]
    parts += [f"| {name} | {reason} |" for name, reason in NOT_SERVED.items()]
    parts += ["", "## What a task may ask for and does not get yet", "", *_fields(unhonoured.TASK)]
    parts += ["", "## What a run or trigger may ask for and does not get yet", "", *_fields(unhonoured.RUN)]
    return "\n".join(parts) + "\n"


def policies() -> str:
    rows = [f"| `{PREFIX}{name}` | {key.values} | {key.default} | {key.meaning} |" for name, key in KEYS.items()]
    return "\n".join(
        (
            "# Policies of triggers",
            "",
            "What a trigger does beyond its schedule is said by annotations of the stock SDK, so it is a part of every",
            "revision:",
            "",
            "```python",
            'flyte.Trigger("hourly", flyte.Cron("0 * * * *"), annotations={"wingbeat/overlap": "skip"})',
            "```",
            "",
            "A key that nobody knows, or a bad value, is refused at the deployment. The defaults are what Flyte does.",
            "",
            "| annotation | values | default | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
            "- Every slot that came due is in the ledger once: fired, skipped or missed, with the reason. Slots that",
            "  wait come into the ledger when they fire, or when a pause or a deletion leaves them out.",
            "- A run by hand ignores all of this, and counts as a run that is not over.",
            "- A backfill has its own limit: its runs count for no policy, and live slots do not wait for them.",
            "- What came due before a redeploy stays owed to the old revision, under the policies of the new one.",
            "- Slots that wait survive a restart. Their line is served when a run ends, the oldest slot first.",
            "- `catch-up` looks at slots that nobody has decided about yet: what waits for a run never grows too old.",
            "- With `concurrency-key`, each trigger compares its own limit with the number of all runs with the key.",
            "",
        )
    )


def metrics() -> str:
    kinds = (("counter", "_total", COUNTERS), ("histogram", "", HISTOGRAMS), ("gauge", "", GAUGES))
    rows = [
        f"| `{named.name}{suffix}` | {kind} | {', '.join(f'`{label}`' for label in named.labels)} | {named.meaning} |"
        for kind, suffix, names in kinds
        for named in names.values()
    ]
    causes = [f"| `{cause}` | {meaning} |" for cause, meaning in CAUSES.items()]
    return "\n".join(
        (
            "# Metrics",
            "",
            "Every server answers `GET /metrics` in the format of Prometheus, with the `process_` metrics and",
            "`python_info` of its process beside its own:",
            "",
            "| metric | type | labels | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
            f"Gauges are measured every {EVERY_SECONDS:g} seconds, and are about the whole database: with several",
            "servers take the maximum over them. Counters, histograms and `wingbeat_rpc_streams` are about one server:",
            "take the sum.",
            "",
            "Worth an alert: `wingbeat_oldest_undecided_slot_seconds` above a minute (no scheduler runs, or",
            "`runs.triggerScheduler.executionQps` limits it), and `wingbeat_failing_triggers` above 0.",
            "",
            "## Causes",
            "",
            "Why a slot came to nothing (`wingbeat_fires_total`); the ledger has each reason at length.",
            "",
            "| `cause` | meaning |",
            "|---|---|",
            *causes,
            "",
        )
    )


def states() -> str:
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> QUEUED", "    [*] --> PAUSED: a condition"]
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
        DOCS / "reference" / "policies.md": policies(),
        DOCS / "reference" / "metrics.md": metrics(),
        architecture: _with_part(architecture.read_text(), "states", states()),
    }


def outdated() -> list[Path]:
    return [path for path, text in documents().items() if not path.exists() or path.read_text() != text]


def _default(value: Any) -> str:
    match value:
        case None:
            return ""
        case timedelta():
            hours, seconds = divmod(value.total_seconds(), 3600)
            return f"`{hours:g}h`" if hours and not seconds else f"`{value.total_seconds():g}s`"
        case ByteSize():
            return f"`{value.human_readable()}`"
        case bool():
            return f"`{str(value).lower()}`"
        case tuple():
            return f"`[{', '.join(cast('tuple[str, ...]', value))}]`"
        case _:
            return f"`{value}`"


def _command(path: tuple[str, ...], command: click.Command) -> Iterator[str]:
    yield ""
    yield f"{'#' * len(path)} {' '.join(path)}"
    yield ""
    arguments = [
        each.make_metavar(click.Context(command)) for each in command.params if isinstance(each, click.Argument)
    ]
    if arguments:
        yield f"`{' '.join((*path, *arguments))}`"
        yield ""
    yield from cleandoc(command.help or "").splitlines()
    options = [each for each in command.params if isinstance(each, click.Option)]
    if options:
        yield from ("", "| option | meaning |", "|---|---|")
    yield from map(_option, options)
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from _command((*path, name), below)


def _compose() -> Iterator[str]:
    """The commands that every installation has are no commands of click's."""
    parser = compose_parser()
    yield from ("", f"## {parser.prog}", "", *(parser.description or "").splitlines())
    yield from ("", "`pip install wingbeat` is enough for it. Options of all of its commands:")
    yield from _actions_table(parser, without={"help"})
    shared = {action.dest for action in _actions(parser)}
    (commands,) = (vars(action)["choices"] for action in _actions(parser) if action.dest == "command")
    for name, command in cast("Mapping[str, argparse.ArgumentParser]", commands).items():
        arguments = [action for action in _actions(command) if not action.option_strings]
        words = (f"[{each.metavar}]" if each.nargs == "?" else str(each.metavar) for each in arguments)
        yield from ("", f"### {parser.prog} {name}", "")
        if arguments:
            yield from (f"`{' '.join((parser.prog, name, *words))}`", "")
        yield command.description or ""
        yield from _actions_table(command, without=shared)


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return cast("list[argparse.Action]", vars(parser)["_actions"])


def _actions_table(parser: argparse.ArgumentParser, *, without: set[str]) -> Iterator[str]:
    options = [each for each in _actions(parser) if each.option_strings and each.dest not in without]
    if options:
        yield from ("", "| option | meaning |", "|---|---|")
    for each in options:
        value = each.metavar or r" \| ".join(each.choices or ())
        value = f" {value}" if value else ""
        default = f" Default: `{each.default:g}`." if isinstance(each.default, int | float) and each.default else ""
        yield f"| `{', '.join(each.option_strings)}{value}` | {each.help}{default} |"


def _option(option: click.Option) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    value = "" if option.is_flag else " " + option.make_metavar(click.Context(click.Command(""))).replace("|", r"\|")
    default = f" Default: `{_flag(option) if option.is_flag else option.default}`." if option.show_default else ""
    return f"| `{names}{value}` | {_sentence(option.help or '')}{default} |"


def _flag(option: click.Option) -> str:
    return (option.opts if option.default else option.secondary_opts)[0]


def _json_documents() -> Iterator[str]:
    yield from ("", "## What `--output json` says", "")
    yield "One document. Moments are RFC 3339 in UTC, durations seconds. Fields may be added, none changes or goes"
    yield "without a word in the changelog."
    for document in DOCUMENTS:
        yield from ("", f"### {document.__name__}", "", cleandoc(document.__doc__ or ""), "")
        yield from ("| field | type | meaning |", "|---|---|---|")
        hints = get_type_hints(document, include_extras=True)
        for field in fields(document):
            meaning = ", ".join(getattr(hints[field.name], "__metadata__", ()))
            yield f"| `{field.name}` | {_json_type(hints[field.name])} | {meaning} |"


def _json_type(kind: Any) -> str:
    if get_origin(kind) is Annotated:
        return _json_type(get_args(kind)[0])
    if get_origin(kind) is UnionType:
        return " or ".join(map(_json_type, get_args(kind)))
    if get_origin(kind) is tuple:
        return f"list of {_json_type(get_args(kind)[0])}"
    if get_origin(kind) is dict:
        return "object of strings" if get_args(kind)[1] is str else "object"
    return _JSON_TYPES.get(kind) or f"[{kind.__name__}](#{kind.__name__.lower()})"


def _sentence(text: str) -> str:
    return re.sub(r"\.?\s+\[default: (.*)\]", r". Default: \1.", text)


def _services(*, ours: bool) -> list[type]:
    """By the names that callers know."""
    wanted = [each for each in SERVICES if protocol_of(each).__module__.startswith("wingbeat.") == ours]
    return sorted(wanted, key=lambda each: protocol_of(each).__name__)


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
