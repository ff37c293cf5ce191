"""Rows of `run`: what runs were started with. Their state is in their root actions, and lists show it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wingbeat.core.action import Action, Phase
from wingbeat.core.ids import ROOT_ACTION, RunId, Scope, TaskId, TaskName, TriggerName
from wingbeat.core.listing import ListQuery, Page, Sort
from wingbeat.core.run import Run
from wingbeat.store import actions
from wingbeat.store.database import Row, Transaction, Value, from_micros, maybe_micros, maybe_moment, to_micros
from wingbeat.store.filters import Arguments, Column, Columns
from wingbeat.store.listing import Listing, fetch_page

Within = Scope | TaskName | TaskId | TriggerName
"""Whose runs a list shows. An empty part of a name narrows nothing."""

_TYPES = {
    "project": "text",
    "domain": "text",
    "name": "text",
    "run_spec": "bytea",
    "inputs": "bytea",
    "input_uri": "text",
    "output_base": "text",
    "kickoff_arg": "text",
    "start_time": "bigint",
    "slot": "bigint",
    "created_by": "bytea",
    "request_id": "text",
    "priority": "bigint",
    "lane": "text",
    "labels": "jsonb",
    "not_honoured": "text",
    "created_at": "bigint",
}
_ROOT = f"a.project = r.project AND a.domain = r.domain AND a.run = r.name AND a.name = '{ROOT_ACTION}'"

_LIST = Listing(
    select=f"{actions.COLUMNS}, r.labels",
    source=f"action a JOIN run r ON {_ROOT} WHERE a.parent IS NULL AND {{where}}",
    columns=Columns(actions.FIELDS, {"labels.": Column("r.labels ->> {key}", nullable=True)}),
    key=("run_name", "project", "domain"),
    default_sort=(Sort("phase", ascending=True), Sort("created_at"), Sort("run_name")),
)


@dataclass(frozen=True, slots=True)
class Listed:
    """A run as lists show it."""

    root: Action
    labels: Mapping[str, str]


async def insert(tx: Transaction, runs: Sequence[Run]) -> None:
    """Raises Conflict for a taken name."""
    await tx.insert("run", _TYPES, [_values(run) for run in runs])


async def insert_if_free(tx: Transaction, run: Run) -> bool:
    """Whether it was inserted: neither its name nor its request id was taken, not even at this very moment."""
    marks = ", ".join(f"${number}" for number in range(1, len(_TYPES) + 1))
    inserted = await tx.execute(
        f"INSERT INTO run ({', '.join(_TYPES)}) VALUES ({marks}) ON CONFLICT DO NOTHING", *_values(run)
    )
    return inserted == 1


async def find(tx: Transaction, run: RunId) -> Run | None:
    columns = ", ".join(f"r.{name}" for name in _TYPES)
    row = await tx.fetchrow(
        f"""
        SELECT {columns}, a.task_project, a.task_domain, a.task_name, a.task_version, a.task_type, a.short_name,
               a.function_name, a.environment, a.spec_digest, a.source, a.trigger_id, a.trigger_task, a.trigger_name,
               a.trigger_revision, a.created_by_subject
          FROM run r JOIN action a ON {_ROOT}
         WHERE r.project = $1 AND r.domain = $2 AND r.name = $3
        """,
        run.project,
        run.domain,
        run.name,
    )
    return None if row is None else _run(row)


async def find_by_request(tx: Transaction, scope: Scope, request_id: str) -> RunId | None:
    """The run that the request with this id created."""
    row = await tx.fetchrow(
        "SELECT name FROM run WHERE project = $1 AND domain = $2 AND request_id = $3",
        scope.project,
        scope.domain,
        request_id,
    )
    return None if row is None else RunId(scope.project, scope.domain, row["name"])


async def list_page(
    tx: Transaction, query: ListQuery, *, within: Within | None = None, paused_only: bool = False
) -> Page[Listed]:
    """Runs that are not over first, then the newest. `paused_only`: at least one action is PAUSED.

    Raises InvalidArgument.
    """
    args = Arguments()
    scope = [f"{column} = {args.add(value)}" for column, value in _narrowing(within) if value]
    if paused_only:
        scope.append(
            "EXISTS (SELECT 1 FROM action p WHERE p.project = a.project AND p.domain = a.domain AND p.run = a.run"
            f" AND p.phase = {Phase.PAUSED.value})"
        )
    page = await fetch_page(tx, _LIST, query, scope=scope, args=args)
    return Page([Listed(actions.action_of(row), json.loads(row["labels"])) for row in page.items], page.next_token)


def _narrowing(within: Within | None) -> Sequence[tuple[str, str]]:
    match within:
        case None:
            return []
        case Scope():
            return [("a.project", within.project), ("a.domain", within.domain)]
        case TriggerName():
            return [
                ("a.task_project", within.project),
                ("a.task_domain", within.domain),
                ("a.trigger_task", within.task),
                ("a.trigger_name", within.name),
            ]
        case TaskName() | TaskId():
            return [
                ("a.task_project", within.project),
                ("a.task_domain", within.domain),
                ("a.task_name", within.name),
                ("a.task_version", within.version if isinstance(within, TaskId) else ""),
            ]


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
        json.dumps(dict(run.labels)),
        json.dumps(run.not_honoured),
        to_micros(run.created_at),
    )


def _run(row: Row) -> Run:
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
        labels=json.loads(row["labels"]),
    )
