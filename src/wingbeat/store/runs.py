"""Rows of `run`: what runs were started with. Their state is in their root actions, and lists show it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wingbeat.core.action import Action, Phase
from wingbeat.core.ids import ROOT_ACTION, RunId, Scope, TaskId, TaskName, TriggerName
from wingbeat.core.listing import ListQuery, Page, Sort
from wingbeat.core.run import Run
from wingbeat.core.uploads import spoken_of
from wingbeat.store import actions, run_needs, upload_uses
from wingbeat.store.database import Row, Transaction, Value, from_micros, maybe_micros, maybe_moment, to_micros
from wingbeat.store.filters import Arguments, Column, Columns
from wingbeat.store.listing import Listing, Split, fetch_page

Within = Scope | TaskName | TaskId | TriggerName
"""Whose runs a list shows. An empty part of a scope narrows nothing."""

MAX_NAMES = 1000
"""Names in one statement: three parameters each, of which databases take some tens of thousands."""

_NAMES = (
    "project",
    "domain",
    "name",
    "run_spec",
    "inputs",
    "input_uri",
    "output_base",
    "kickoff_arg",
    "start_time",
    "slot",
    "created_by",
    "request_id",
    "priority",
    "lane",
    "not_honoured",
    "created_at",
    "action_limit",
)
_LABEL_NAMES = ("project", "domain", "run", "key", "value")
_LABEL = (
    "SELECT l.value FROM run_label l"
    " WHERE l.project = a.project AND l.domain = a.domain AND l.run = a.run AND l.key = {key}"
)
_OF_TRIGGER = (
    "a.trigger_id = (SELECT t.trigger_id FROM trigger_spec t"
    " WHERE t.project = {} AND t.domain = {} AND t.task_name = {} AND t.name = {})"
)
"""Its name is in the actions, too, and in no index."""
_PAUSED = (
    "(a.project, a.domain, a.run) IN"
    f" (SELECT p.project, p.domain, p.run FROM action p WHERE p.phase = {Phase.PAUSED.value})"
)
_ROOT = f"a.project = r.project AND a.domain = r.domain AND a.run = r.name AND a.name = '{ROOT_ACTION}'"

_LIST = Listing(
    select=actions.COLUMNS,
    source="action a WHERE a.parent IS NULL AND {where}",
    columns=Columns(actions.FIELDS, {"labels.": Column(_LABEL, nullable=True)}),
    key=("created_at", "run_name", "project", "domain"),
    default_sort=(Sort("phase", ascending=True), Sort("created_at")),
    split=Split("phase", tuple(Phase), ("created_at", "run_name"), "action a WHERE a.parent IS NULL"),
)


@dataclass(frozen=True, slots=True)
class Listed:
    """A run as lists show it."""

    root: Action
    labels: Mapping[str, str]


async def insert(tx: Transaction, runs: Sequence[Run]) -> None:
    """Raises Conflict for a taken name."""
    await tx.insert("run", _NAMES, [_values(run) for run in runs])
    await _insert_labels(tx, runs)
    await _note_inputs(tx, runs)


async def insert_if_free(tx: Transaction, run: Run) -> bool:
    """Whether it was inserted: neither its name nor its request id was taken, not even at this very moment."""
    marks = ", ".join(f"${number}" for number in range(1, len(_NAMES) + 1))
    inserted = await tx.execute(
        f"INSERT INTO run ({', '.join(_NAMES)}) VALUES ({marks}) ON CONFLICT DO NOTHING", *_values(run)
    )
    if inserted:
        await _insert_labels(tx, [run])
        await _note_inputs(tx, [run])
    return bool(inserted)


async def find(tx: Transaction, run: RunId) -> Run | None:
    columns = ", ".join(f"r.{name}" for name in _NAMES)
    row = await tx.fetchrow(
        f"""
        SELECT {columns}, a.task_project, a.task_domain, a.task_name, a.task_version, a.task_type, a.short_name,
               a.function_name, a.environment, a.spec_digest, a.source, a.trigger_id, a.trigger_task, a.trigger_name,
               a.trigger_revision, a.created_by_subject, {actions.TIMEOUT_COLUMNS},
               a.cache_policy, a.relation_type, a.related_run
          FROM run r JOIN action a ON {_ROOT}
         WHERE r.project = $1 AND r.domain = $2 AND r.name = $3
        """,
        *run.names,
    )
    return None if row is None else _run(row, (await labels_of(tx, [run])).get(run, {}))


async def run_spec(tx: Transaction, run: RunId) -> bytes | None:
    """The serialized RunSpec alone: inputs can be large."""
    row = await tx.fetchrow("SELECT run_spec FROM run WHERE project = $1 AND domain = $2 AND name = $3", *run.names)
    return None if row is None else row["run_spec"]


async def find_by_request(tx: Transaction, scope: Scope, request_id: str) -> RunId | None:
    """The run that the request with this id created."""
    row = await tx.fetchrow(
        "SELECT name FROM run WHERE project = $1 AND domain = $2 AND request_id = $3",
        scope.project,
        scope.domain,
        request_id,
    )
    return None if row is None else RunId(scope.project, scope.domain, row["name"])


async def listed(tx: Transaction, root: Action) -> Listed:
    run = root.id.run
    return Listed(root, (await labels_of(tx, [run])).get(run, {}))


async def taken(tx: Transaction, names: Sequence[RunId]) -> set[RunId]:
    """Those of the names that some run has."""
    found: set[RunId] = set()
    for first in range(0, len(names), MAX_NAMES):
        args = Arguments()
        keys = args.rows(run.names for run in names[first : first + MAX_NAMES])
        rows = await tx.fetch(
            f"""
            WITH k (project, domain, name) AS (VALUES {keys})
            SELECT r.project, r.domain, r.name
              FROM k CROSS JOIN run r
             WHERE r.project = k.project AND r.domain = k.domain AND r.name = k.name
            """,
            *args.values,
        )
        found.update(RunId(row["project"], row["domain"], row["name"]) for row in rows)
    return found


async def list_page(
    tx: Transaction, query: ListQuery, *, within: Within | None = None, paused_only: bool = False
) -> Page[Listed]:
    """Runs that are not over first, then the newest. `paused_only`: at least one action is PAUSED.

    Raises InvalidArgument.
    """
    args = Arguments()
    scope = _narrowing(within, args)
    if paused_only:
        scope.append(_PAUSED)
    page = await fetch_page(tx, _LIST, query, scope=scope, args=args)
    roots = [actions.action_of(row) for row in page.items]
    labels = await labels_of(tx, [root.id.run for root in roots])
    return Page([Listed(root, labels.get(root.id.run, {})) for root in roots], page.next_token)


def covers(within: Within | None, run: RunId, task: TaskId) -> bool:
    """Whether a list of `within`, which is no trigger, shows the run of the task."""
    match within:
        case None:
            wanted = []
        case Scope():
            wanted = [(within.project, run.project), (within.domain, run.domain)]
        case TriggerName():
            raise AssertionError("what a trigger starts is not told by its task")
        case TaskName() | TaskId():
            wanted = [(within.project, task.project), (within.domain, task.domain), (within.name, task.name)]
    if isinstance(within, TaskId):
        wanted.append((within.version, task.version))
    return all(not each or each == found for each, found in wanted)


def _narrowing(within: Within | None, args: Arguments) -> list[str]:
    match within:
        case None:
            return []
        case Scope():
            names = {"project": within.project, "domain": within.domain}
        case TriggerName():
            return [_OF_TRIGGER.format(*map(args.add, (within.project, within.domain, within.task, within.name)))]
        case TaskName() | TaskId():
            version = within.version if isinstance(within, TaskId) else ""
            names = {
                "task_project": within.project,
                "task_domain": within.domain,
                "task_name": within.name,
                "task_version": version,
            }
    return [f"a.{column} = {args.add(value)}" for column, value in names.items() if value]


async def _note_inputs(tx: Transaction, runs: Sequence[Run]) -> None:
    for run in runs:
        await upload_uses.note(tx, upload_uses.of_run(run.id), spoken_of(run.inputs))
    await run_needs.note_inputs(tx, {run.id: run.input_uri for run in runs if run.inputs is None})


async def _insert_labels(tx: Transaction, runs: Sequence[Run]) -> None:
    rows = [
        (run.id.project, run.id.domain, run.id.name, key, value) for run in runs for key, value in run.labels.items()
    ]
    await tx.insert("run_label", _LABEL_NAMES, rows)


async def labels_of(tx: Transaction, runs: Sequence[RunId]) -> Mapping[RunId, Mapping[str, str]]:
    if not runs:
        return {}
    args = Arguments()
    rows = await tx.fetch(
        f"""
        WITH k (project, domain, run) AS (VALUES {args.rows(run.names for run in runs)})
        SELECT l.project, l.domain, l.run, l.key, l.value
          FROM k CROSS JOIN run_label l
         WHERE l.project = k.project AND l.domain = k.domain AND l.run = k.run
         ORDER BY l.project, l.domain, l.run, l.key
        """,
        *args.values,
    )
    labels: dict[RunId, dict[str, str]] = {}
    for row in rows:
        labels.setdefault(RunId(row["project"], row["domain"], row["run"]), {})[row["key"]] = row["value"]
    return labels


def _values(run: Run) -> tuple[Value, ...]:
    return (
        run.id.project,
        run.id.domain,
        run.id.name,
        run.run_spec,
        run.inputs,
        run.input_uri,
        run.output_base,
        run.kickoff_arg,
        maybe_micros(run.start_time),
        maybe_micros(run.slot),
        run.created_by,
        run.request_id,
        run.priority,
        run.lane,
        json.dumps(run.not_honoured),
        to_micros(run.created_at),
        run.action_limit,
    )


def _run(row: Row, labels: Mapping[str, str]) -> Run:
    return Run(
        id=RunId(row["project"], row["domain"], row["name"]),
        task=actions.task_of(row),
        run_spec=row["run_spec"],
        inputs=row["inputs"],
        input_uri=row["input_uri"],
        output_base=row["output_base"],
        kickoff_arg=row["kickoff_arg"],
        start_time=maybe_moment(row["start_time"]),
        source=row["source"],
        trigger=actions.trigger_of(row),
        slot=maybe_moment(row["slot"]),
        created_by=row["created_by"],
        created_by_subject=row["created_by_subject"],
        request_id=row["request_id"],
        priority=row["priority"],
        lane=row["lane"],
        not_honoured=tuple(json.loads(row["not_honoured"])),
        created_at=from_micros(row["created_at"]),
        labels=labels,
        timeouts=actions.timeouts_of(row),
        action_limit=row["action_limit"],
        cache=actions.cache_of(row),
        relation=actions.relation_of(row),
    )
