"""Rows of `action` and `attempt`. Every change of an action bumps its version and wakes whoever watches its run."""

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

from wingbeat.core.action import Action, ActionType, Attempt, ErrorKind, Failure, Phase, TaskRef, TriggerRef
from wingbeat.core.cache import CachePolicy
from wingbeat.core.ids import ActionId, AttemptId, RunId, TaskId, TriggerName
from wingbeat.core.launch import attempt_of, key_of
from wingbeat.core.listing import ListQuery, Page, Sort
from wingbeat.core.relation import Relation, RelationType
from wingbeat.core.timer import UNLIMITED, Timeouts
from wingbeat.core.value import ValueType
from wingbeat.errors import Conflict
from wingbeat.store import cache, run_needs
from wingbeat.store.changes import RUNS, children_topic, run_topic
from wingbeat.store.database import (
    Row,
    Transaction,
    Value,
    from_micros,
    maybe_micros,
    maybe_moment,
    maybe_span,
    maybe_timedelta,
    to_micros,
)
from wingbeat.store.filters import Arguments, Column, Columns, Kind
from wingbeat.store.listing import Listing, fetch_page

NAMES = (
    "project",
    "domain",
    "run",
    "name",
    "parent",
    "action_group",
    "action_type",
    "phase",
    "attempts",
    "cache_status",
    "task_project",
    "task_domain",
    "task_name",
    "task_version",
    "task_type",
    "short_name",
    "function_name",
    "environment",
    "spec_digest",
    "source",
    "trigger_id",
    "trigger_task",
    "trigger_name",
    "trigger_revision",
    "created_by_subject",
    "input_uri",
    "output_uri",
    "abort_reason",
    "created_at",
    "updated_at",
    "ended_at",
    "duration_ms",
    "version",
    "max_queued_time",
    "max_runtime",
    "deadline",
    "cache_policy",
    "origin",
    "relation_type",
    "related_run",
    "value_type",
)
COLUMNS = ", ".join(f"a.{name}" for name in NAMES)
"""Of `action a`."""

TIMEOUT_COLUMNS = "a.max_queued_time, a.max_runtime, a.deadline"
"""Of `action a`."""

FAILURE_COLUMNS = "t.error_code, t.error_kind, t.error_message, t.error_retryable"
"""Of `attempt t`."""

FIELDS = MappingProxyType(
    {
        "project": Column("a.project"),
        "domain": Column("a.domain"),
        "run_name": Column("a.run"),
        "name": Column("a.name"),
        "parent_name": Column("a.parent", nullable=True),
        "phase": Column("a.phase", Kind.INTEGER),
        "action_type": Column("a.action_type", Kind.INTEGER),
        "run_source": Column("a.source"),
        "created_by": Column("a.created_by_subject"),
        "created_by_subject": Column("a.created_by_subject"),
        "trigger_task_name": Column("a.trigger_task", nullable=True),
        "trigger_name": Column("a.trigger_name", nullable=True),
        "trigger_revision": Column("a.trigger_revision", Kind.INTEGER, nullable=True),
        "trigger_type": Column(
            "SELECT t.automation_type FROM trigger_spec t WHERE t.trigger_id = a.trigger_id", nullable=True
        ),
        "task_project": Column("a.task_project"),
        "task_domain": Column("a.task_domain"),
        "task_name": Column("a.task_name"),
        "task_version": Column("a.task_version"),
        "function_name": Column("a.function_name"),
        "created_at": Column("a.created_at", Kind.MOMENT),
        "updated_at": Column("a.updated_at", Kind.MOMENT),
        "ended_at": Column("a.ended_at", Kind.MOMENT, nullable=True),
        "duration_ms": Column("a.duration_ms", Kind.INTEGER, nullable=True),
    }
)
"""What lists of actions, and of runs, sort and filter by."""

_OF_RUN = Listing(
    select=COLUMNS,
    source="action a WHERE {where}",
    columns=Columns(FIELDS),
    key=("name",),
    default_sort=(Sort("phase", ascending=True), Sort("created_at"), Sort("name")),
)


async def insert(tx: Transaction, actions: Sequence[Action]) -> None:
    """Raises Conflict for a taken name, and when the origin of an action is not kept any more."""
    await tx.insert("action", NAMES, [_values(action) for action in actions])
    for run, source in {(action.id.run, action.origin.action.run): None for action in actions if action.origin}:
        await run_needs.require(tx, run, source)
    _tell(tx, actions)


async def find(tx: Transaction, action: ActionId) -> Action | None:
    row = await tx.fetchrow(
        f"SELECT {COLUMNS} FROM action a WHERE a.project = $1 AND a.domain = $2 AND a.run = $3 AND a.name = $4",
        *action.names,
    )
    return None if row is None else action_of(row)


async def list_of_run(tx: Transaction, run: RunId, query: ListQuery) -> Page[Action]:
    """The run's actions, those that are not over first. Raises InvalidArgument."""
    args = Arguments(*run.names)
    scope = ["a.project = $1", "a.domain = $2", "a.run = $3"]
    page = await fetch_page(tx, _OF_RUN, query, scope=scope, args=args)
    return Page([action_of(row) for row in page.items], page.next_token)


async def save(tx: Transaction, action: Action) -> Action:
    """The action with its next version.

    Raises Conflict when it changed since `action` was read, and when its origin is not kept any more.
    """
    if action.origin is not None:
        await run_needs.require(tx, action.id.run, action.origin.action.run)
    saved = replace(action, version=action.version + 1, updated_at=tx.now)
    changed = await tx.execute(
        """
        UPDATE action
           SET phase = $6, attempts = $7, cache_status = $8, output_uri = $9, abort_reason = $10,
               ended_at = $11, duration_ms = $12, updated_at = $13, version = $14, origin = $15
         WHERE project = $1 AND domain = $2 AND run = $3 AND name = $4 AND version = $5
        """,
        *action.id.names,
        action.version,
        saved.phase.value,
        saved.attempts,
        saved.cache_status,
        saved.output_uri,
        saved.abort_reason,
        maybe_micros(saved.ended_at),
        saved.duration_ms,
        to_micros(saved.updated_at),
        saved.version,
        saved.origin and key_of(saved.origin),
    )
    if not changed:
        raise Conflict(f"action {action.id.name!r} of run {action.id.run.name!r} changed at the same time: try again")
    _tell(tx, [saved])
    return saved


async def remove(tx: Transaction, action: ActionId) -> None:
    """For records that are written anew; what ran is kept."""
    await tx.execute("DELETE FROM action WHERE project = $1 AND domain = $2 AND run = $3 AND name = $4", *action.names)


async def attempts(tx: Transaction, action: ActionId) -> list[Attempt]:
    """Ascending. One that only waits in the queue has no row."""
    rows = await tx.fetch(
        """
        SELECT number, phase, node, token, output_prefix, created_at, started_at, ended_at,
               error_code, error_kind, error_message, error_retryable, log_uri
          FROM attempt
         WHERE project = $1 AND domain = $2 AND run = $3 AND action = $4
         ORDER BY number
        """,
        *action.names,
    )
    return [_attempt(action, row) for row in rows]


async def save_attempt(tx: Transaction, attempt: Attempt) -> None:
    """Insert or replace. The action it belongs to must be saved in the same transaction, so that watchers see both."""
    failure = attempt.failure
    await tx.execute(
        """
        INSERT INTO attempt (project, domain, run, action, number, phase, node, token, output_prefix, created_at,
                             started_at, ended_at, error_code, error_kind, error_message, error_retryable, log_uri)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
        ON CONFLICT (project, domain, run, action, number) DO UPDATE
           SET phase = excluded.phase, node = excluded.node, token = excluded.token,
               output_prefix = excluded.output_prefix, created_at = excluded.created_at,
               started_at = excluded.started_at, ended_at = excluded.ended_at, error_code = excluded.error_code,
               error_kind = excluded.error_kind, error_message = excluded.error_message,
               error_retryable = excluded.error_retryable, log_uri = excluded.log_uri
        """,
        *attempt.id.action.names,
        attempt.id.number,
        attempt.phase.value,
        attempt.node,
        attempt.token,
        attempt.output_prefix,
        to_micros(attempt.created_at),
        maybe_micros(attempt.started_at),
        maybe_micros(attempt.ended_at),
        failure and failure.code,
        failure and failure.kind.value,
        failure and failure.message,
        failure and failure.retryable,
        attempt.log_uri,
    )


def action_of(row: Row) -> Action:
    """From a row with `COLUMNS`."""
    return Action(
        id=ActionId(RunId(row["project"], row["domain"], row["run"]), row["name"]),
        parent=row["parent"],
        group=row["action_group"],
        type=ActionType(row["action_type"]),
        phase=Phase(row["phase"]),
        attempts=row["attempts"],
        cache_status=row["cache_status"],
        task=task_of(row),
        source=row["source"],
        trigger=trigger_of(row),
        created_by_subject=row["created_by_subject"],
        input_uri=row["input_uri"],
        output_uri=row["output_uri"],
        abort_reason=row["abort_reason"],
        created_at=from_micros(row["created_at"]),
        updated_at=from_micros(row["updated_at"]),
        ended_at=maybe_moment(row["ended_at"]),
        duration_ms=row["duration_ms"],
        version=row["version"],
        timeouts=timeouts_of(row),
        cache=cache_of(row),
        origin=attempt_of(row["origin"]) if row["origin"] else None,
        relation=relation_of(row),
        value_type=row["value_type"] and ValueType(row["value_type"]),
    )


def task_of(row: Row) -> TaskRef:
    return TaskRef(
        id=TaskId(row["task_project"], row["task_domain"], row["task_name"], row["task_version"]),
        type=row["task_type"],
        short_name=row["short_name"],
        function_name=row["function_name"],
        environment=row["environment"],
        spec_digest=row["spec_digest"],
    )


def trigger_of(row: Row) -> TriggerRef | None:
    """A trigger lives where its task does."""
    if row["trigger_id"] is None:
        return None
    name = TriggerName(row["task_project"], row["task_domain"], row["trigger_task"], row["trigger_name"])
    return TriggerRef(row["trigger_id"], name, row["trigger_revision"])


def timeouts_of(row: Row) -> Timeouts:
    """From a row with `TIMEOUT_COLUMNS`."""
    queued, runtime, deadline = row["max_queued_time"], row["max_runtime"], row["deadline"]
    if queued is None and runtime is None and deadline is None:
        return UNLIMITED
    return Timeouts(maybe_timedelta(queued), maybe_timedelta(runtime), maybe_timedelta(deadline))


def cache_of(row: Row) -> CachePolicy | None:
    return cache.decoded(row["cache_policy"]) if row["cache_policy"] else None


def relation_of(row: Row) -> Relation | None:
    if row["related_run"] is None:
        return None
    return Relation(RelationType(row["relation_type"]), RunId(*row["related_run"].split("/")))


def failure_of(row: Row) -> Failure | None:
    """From a row with `FAILURE_COLUMNS`."""
    if row["error_kind"] is None:
        return None
    return Failure(row["error_code"], ErrorKind(row["error_kind"]), row["error_message"], bool(row["error_retryable"]))


def _values(action: Action) -> tuple[Value, ...]:
    task, trigger = action.task, action.trigger
    return (
        *action.id.names,
        action.parent,
        action.group,
        action.type.value,
        action.phase.value,
        action.attempts,
        action.cache_status,
        task.id.project,
        task.id.domain,
        task.id.name,
        task.id.version,
        task.type,
        task.short_name,
        task.function_name,
        task.environment,
        task.spec_digest,
        action.source,
        trigger and trigger.id,
        trigger and trigger.name.task,
        trigger and trigger.name.name,
        trigger and trigger.revision,
        action.created_by_subject,
        action.input_uri,
        action.output_uri,
        action.abort_reason,
        to_micros(action.created_at),
        to_micros(action.updated_at),
        maybe_micros(action.ended_at),
        action.duration_ms,
        action.version,
        maybe_span(action.timeouts.queued),
        maybe_span(action.timeouts.runtime),
        maybe_span(action.timeouts.deadline),
        action.cache and cache.encoded(action.cache),
        action.origin and key_of(action.origin),
        *_relation_values(action.relation),
        action.value_type and action.value_type.value,
    )


def _relation_values(relation: Relation | None) -> tuple[int | None, str | None]:
    if relation is None:
        return None, None
    run = relation.run
    return relation.type.value, f"{run.project}/{run.domain}/{run.name}"


def _attempt(action: ActionId, row: Row) -> Attempt:
    return Attempt(
        id=AttemptId(action, row["number"]),
        phase=Phase(row["phase"]),
        node=row["node"],
        token=row["token"],
        output_prefix=row["output_prefix"],
        created_at=from_micros(row["created_at"]),
        started_at=maybe_moment(row["started_at"]),
        ended_at=maybe_moment(row["ended_at"]),
        failure=failure_of(row),
        log_uri=row["log_uri"],
    )


def _tell(tx: Transaction, actions: Sequence[Action]) -> None:
    tx.changed(RUNS, *{run_topic(action.id.run): None for action in actions})
    tx.changed(*{children_topic(action.id.run, action.parent): None for action in actions if action.parent})
