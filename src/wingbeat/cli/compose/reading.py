"""What the files say of triggers and runs -> the documents that commands show. Nothing changes; no file is made."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from wingbeat.cli.compose import lock
from wingbeat.cli.compose.documents import (
    ComposeChange,
    ComposeChanges,
    ComposeEvent,
    ComposeHistory,
    ComposePreview,
    ComposeRun,
    ComposeRuns,
    ComposeStatus,
    ComposeTrigger,
)
from wingbeat.cli.compose.program import Program
from wingbeat.cli.compose.refusals import refusals
from wingbeat.cli.trigger_documents import SlotShown
from wingbeat.compose.dag_provenance import DagRun
from wingbeat.compose.trigger import TriggerStore
from wingbeat.errors import NotFound

CRASHED = "crashed"
_UNENDED = ("running", "paused")
_MOST_RUNS = 100


def status(program: Program) -> ComposeStatus:
    pid = lock.holder(program.data)
    store, provenance = program.store, program.provenance
    runs: list[ComposeRun] = []
    if provenance is not None:
        crashed = {run.run_id for run in provenance.get_crashed_runs(_MOST_RUNS)}
        for each in _UNENDED:
            found = provenance.get_recent_runs(_MOST_RUNS, each)
            runs += [_run(run, CRASHED if run.run_id in crashed else run.status) for run in found]
    return ComposeStatus(
        running=pid is not None,
        pid=pid,
        data=str(program.data),
        triggers=tuple(map(_trigger, store.get_activations() if store else ())),
        runs=tuple(runs),
    )


def trigger(store: TriggerStore, name: str) -> ComposeTrigger:
    found = store.get_activation(name)
    if found is None:
        raise NotFound(f"trigger {name!r} was never activated")
    return _trigger(found)


def preview(program: Program, name: str, *, count: int) -> ComposePreview:
    manager = program.onlooker or program.manager
    with refusals():
        slots = manager.preview(name, count)
    stored = manager.store.get_activation(name)
    return ComposePreview(
        tuple(SlotShown(slot.at, slot.local.isoformat(), slot.note, slot.fires_at) for slot in slots),
        inactive=stored is None or stored["status"] != "active",
    )


def runs(program: Program, *, limit: int, since: datetime | None, wanted: str | None) -> ComposeRuns:
    provenance = program.provenance
    found = provenance.get_recent_runs(limit, wanted) if provenance else []
    return ComposeRuns(tuple(_run(run, run.status) for run in found if since is None or run.started_at >= since))


def events(program: Program, name: str, *, limit: int, since: datetime | None, wanted: str | None) -> ComposeHistory:
    store = _known(program, name)
    return ComposeHistory(tuple(map(_event, store.get_events(name, limit=limit, since=since, status=wanted))))


def changes(program: Program, name: str, *, limit: int) -> ComposeChanges:
    return ComposeChanges(tuple(map(_change, _known(program, name).history(name, limit=limit))))


def _known(program: Program, name: str) -> TriggerStore:
    """The store, if the trigger is in it; raises NotFound."""
    store = program.store
    if store is None:
        raise NotFound(f"trigger {name!r} was never activated: there are no triggers in {program.data}")
    trigger(store, name)
    return store


def _trigger(row: Mapping[str, Any]) -> ComposeTrigger:
    config = json.loads(row["config_json"] or "{}")
    return ComposeTrigger(
        name=row["name"],
        dag=row["dag_nsref"],
        type=row["trigger_type"],
        schedule=config.get("schedule"),
        timezone=config.get("timezone", "UTC"),
        active=row["status"] == "active",
        next_fire_at=_moment(row["next_run_at"]),
        last_run_at=_moment(row["last_run_at"]),
        last_run=row["last_run_id"],
        changed_by=row["changed_by"],
        failures=row["failures"],
    )


def _run(run: DagRun, status: str) -> ComposeRun:
    return ComposeRun(
        run=run.run_id,
        dag=run.dag_nsref,
        status=status,
        trigger=run.trigger_name,
        initiated_by=run.initiated_by,
        started_at=run.started_at,
        ended_at=run.finished_at,
        error=run.error or next((node.error for node in run.nodes.values() if node.error), None),
    )


def _event(row: Mapping[str, Any]) -> ComposeEvent:
    return ComposeEvent(
        at=datetime.fromtimestamp(row["fired_at"], UTC),
        status=row["status"],
        kind=row["kind"],
        scheduled_for=_moment(row["scheduled_for"]),
        lateness_seconds=row["lateness"],
        slots=row["slots"],
        run=row["run_id"],
        attempt=row["attempt"],
        error=row["error"],
        initiated_by=row["initiated_by"],
    )


def _change(row: Mapping[str, Any]) -> ComposeChange:
    return ComposeChange(
        revision=row["revision"],
        action=row["action"],
        at=datetime.fromtimestamp(row["changed_at"], UTC),
        by=row["changed_by"],
        dag=row["dag_nsref"],
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
