"""The documents as people read them: facts and tables of plain text, which every installation can print."""

import json
from collections.abc import Iterable, Sequence

from wingbeat.cli.compose.documents import (
    ComposeChanges,
    ComposeEvent,
    ComposeHistory,
    ComposePreview,
    ComposeResult,
    ComposeRun,
    ComposeRuns,
    ComposeStatus,
    ComposeSwitched,
    ComposeTrigger,
)
from wingbeat.cli.plain import duration, moment

_TRIGGERS = ("TRIGGER", "STATE", "SCHEDULE", "RUNS", "NEXT", "LAST RUN", "CHANGED BY")
_RUNS = ("STARTED", "STATUS", "DAG", "TRIGGER", "BY", "RUN", "ERROR")
_EVENTS = ("AT", "STATUS", "KIND", "SCHEDULED FOR", "LATE", "RUN", "ERROR")


def status(shown: ComposeStatus) -> Iterable[str]:
    yield (
        f"process {shown.pid} fires the triggers of {shown.data}"
        if shown.running
        else (f"no `wingbeat compose start` runs on {shown.data}")
    )
    yield from _part(_TRIGGERS, [_trigger(each) for each in shown.triggers], or_else="no trigger was activated yet")
    yield from _part(_RUNS, [_run(each) for each in shown.runs], or_else="no run is going on")


def result(shown: ComposeResult) -> Iterable[str]:
    yield f"run {shown.run} {shown.status}"
    for label, output in shown.outputs.items():
        yield f"{label}: {json.dumps(output, ensure_ascii=False)}"


def preview(shown: ComposePreview) -> Iterable[str]:
    rows = [(moment(slot.at), slot.local, slot.note) for slot in shown.slots]
    yield from table(("HERE", "IN ITS ZONE", "NOTE"), rows) if rows else ("no schedule fires it",)
    if shown.inactive:
        yield "it is not active: none of them fires before it is resumed"


def history(shown: ComposeHistory) -> Iterable[str]:
    return table(_EVENTS, map(_event, shown.events)) if shown.events else ("nothing has happened yet",)


def runs(shown: ComposeRuns) -> Iterable[str]:
    return table(_RUNS, map(_run, shown.runs)) if shown.runs else ("there are no runs",)


def changes(shown: ComposeChanges) -> Iterable[str]:
    rows = ((moment(each.at), str(each.revision), each.action, each.dag, each.by or "") for each in shown.changes)
    return table(("AT", "REVISION", "CHANGE", "RUNS", "BY"), rows)


def switched(shown: ComposeSwitched) -> Iterable[str]:
    return table(_TRIGGERS, [_trigger(shown.trigger)])


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    """Columns that are empty are left out."""
    found = list(rows)
    kept = [place for place in range(len(columns)) if any(row[place] for row in found)]
    lines = [[line[place] for place in kept] for line in (columns, *found)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]


def _part(columns: Sequence[str], rows: Sequence[Sequence[str]], *, or_else: str) -> Iterable[str]:
    yield ""
    yield from table(columns, rows) if rows else (or_else,)


def _trigger(shown: ComposeTrigger) -> tuple[str, ...]:
    zone = "" if shown.timezone == "UTC" else f" {shown.timezone}"
    return (
        shown.name,
        ("active" if shown.active else "disabled") + (f", failed {shown.failures} times" if shown.failures else ""),
        f"{shown.schedule}{zone}" if shown.schedule else shown.type,
        shown.dag,
        moment(shown.next_fire_at) if shown.active else "",
        moment(shown.last_run_at) if shown.last_run else "",
        shown.changed_by or "",
    )


def _run(shown: ComposeRun) -> tuple[str, ...]:
    return (
        moment(shown.started_at),
        shown.status,
        shown.dag,
        shown.trigger or "",
        shown.initiated_by or "",
        shown.run,
        last_line(shown.error),
    )


def _event(shown: ComposeEvent) -> tuple[str, ...]:
    return (
        moment(shown.at),
        f"{shown.status} ({shown.slots} slots)" if shown.slots > 1 else shown.status,
        shown.kind,
        moment(shown.scheduled_for),
        duration(shown.lateness_seconds),
        shown.run or "",
        last_line(shown.error),
    )


def last_line(error: str | None) -> str:
    """Of a traceback, what was raised."""
    lines = (error or "").strip().splitlines()
    return lines[-1] if lines else ""
