"""Rows of `trigger_spec` and `trigger_revision`: what triggers are and were. When they fire is in `firings`."""

from collections.abc import Iterable, Sequence

from wingbeat.core.ids import TaskId, TaskName, TriggerName
from wingbeat.core.trigger import RevisionAction, Trigger
from wingbeat.core.uploads import spoken_of
from wingbeat.store import upload_uses
from wingbeat.store.database import (
    Row,
    Transaction,
    Value,
    from_micros,
    maybe_micros,
    maybe_moment,
    placeholders,
    to_micros,
)

COLUMNS = """
    t.trigger_id, t.project, t.domain, t.task_name, t.name, t.revision, t.task_version, t.active, t.automation_type,
    t.spec, t.automation, t.description, t.deployed_by, t.updated_by, t.deployed_at, t.updated_at, t.deleted_at,
    s.triggered_at
"""
TABLES = "trigger_spec t JOIN schedule s ON s.trigger_id = t.trigger_id"
REVISION_COLUMNS = """
    t.trigger_id, t.project, t.domain, t.task_name, t.name, r.revision, r.task_version, r.active, r.automation_type,
    r.spec, r.automation, r.description, r.deployed_by, r.updated_by, r.deployed_at, r.updated_at, r.deleted_at,
    s.triggered_at
"""
REVISION_TABLES = (
    f"trigger_revision r JOIN {TABLES.replace('trigger_spec t', 'trigger_spec t ON t.trigger_id = r.trigger_id')}"
)
_REVISION_NAMES = (
    "trigger_id",
    "revision",
    "action",
    "task_version",
    "active",
    "automation_type",
    "spec",
    "automation",
    "description",
    "deployed_by",
    "updated_by",
    "deployed_at",
    "updated_at",
    "deleted_at",
    "created_at",
)


async def find(tx: Transaction, name: TriggerName, *, deleted: bool = False) -> Trigger | None:
    """The trigger, or None; one that is deleted only when asked for."""
    row = await tx.fetchrow(
        f"""
        SELECT {COLUMNS} FROM {TABLES}
         WHERE t.project = $1 AND t.domain = $2 AND t.task_name = $3 AND t.name = $4
        """,
        name.project,
        name.domain,
        name.task,
        name.name,
    )
    if row is None or (row["deleted_at"] is not None and not deleted):
        return None
    return trigger_of(row)


async def find_many(tx: Transaction, ids: Sequence[int]) -> dict[int, Trigger]:
    if not ids:
        return {}
    rows = await tx.fetch(f"SELECT {COLUMNS} FROM {TABLES} WHERE t.trigger_id = ANY($1::bigint[])", list(ids))
    return {row["trigger_id"]: trigger_of(row) for row in rows}


async def ids_of_task(tx: Transaction, task: TaskName) -> list[int]:
    """All triggers that the task ever had, deleted ones too."""
    rows = await tx.fetch(
        "SELECT trigger_id FROM trigger_spec WHERE project = $1 AND domain = $2 AND task_name = $3 ORDER BY trigger_id",
        task.project,
        task.domain,
        task.name,
    )
    return [row["trigger_id"] for row in rows]


async def of_version(tx: Transaction, task: TaskId) -> list[Trigger]:
    """The triggers that run this version of a task."""
    return (await of_versions(tx, [task])).get(task, [])


async def of_versions(tx: Transaction, tasks: Sequence[TaskId]) -> dict[TaskId, list[Trigger]]:
    """The triggers by the task version that they run; versions without any are left out."""
    found: dict[TaskId, list[Trigger]] = {}
    for task in tasks:
        rows = await tx.fetch(
            f"""
            SELECT {COLUMNS} FROM {TABLES}
             WHERE t.project = $1 AND t.domain = $2 AND t.task_name = $3 AND t.task_version = $4
               AND t.deleted_at IS NULL
             ORDER BY t.name
            """,
            task.project,
            task.domain,
            task.name,
            task.version,
        )
        if rows:
            found[task] = [trigger_of(row) for row in rows]
    return found


async def insert(tx: Transaction, trigger: Trigger) -> int:
    """Its new id. `trigger.id` is ignored. Raises Conflict when the name is taken."""
    rows = await tx.fetch(
        f"""
        INSERT INTO trigger_spec
            (project, domain, task_name, name, revision, task_version, active, automation_type, spec, automation,
             description, deployed_by, updated_by, deployed_at, updated_at, deleted_at)
        VALUES ({placeholders(1, 16)})
        RETURNING trigger_id
        """,
        *_key(trigger.name),
        trigger.revision,
        *_state(trigger),
    )
    return rows[0]["trigger_id"]


async def update(tx: Transaction, triggers: Iterable[Trigger]) -> None:
    """Write new revisions of triggers whose schedule rows are locked."""
    await tx.update(
        """
        UPDATE trigger_spec
           SET revision = $2, task_version = $3, active = $4, automation_type = $5, spec = $6, automation = $7,
               description = $8, deployed_by = $9, updated_by = $10, deployed_at = $11, updated_at = $12,
               deleted_at = $13
         WHERE trigger_id = $1
        """,
        [(trigger.id, trigger.revision, *_state(trigger)) for trigger in triggers],
    )


async def append_revisions(tx: Transaction, action: RevisionAction, triggers: Sequence[Trigger]) -> None:
    """Remember what the triggers are now; a revision is never changed again."""
    now = to_micros(tx.now)
    rows = [(trigger.id, trigger.revision, action, *_state(trigger), now) for trigger in triggers]
    await tx.insert("trigger_revision", _REVISION_NAMES, rows)
    for trigger in triggers:
        await upload_uses.note(tx, upload_uses.of_revision(trigger.id, trigger.revision), spoken_of(trigger.spec))


async def at_revision(tx: Transaction, trigger_id: int, revision: int) -> Trigger | None:
    row = await tx.fetchrow(
        f"SELECT {REVISION_COLUMNS} FROM {REVISION_TABLES} WHERE r.trigger_id = $1 AND r.revision = $2",
        trigger_id,
        revision,
    )
    return trigger_of(row) if row else None


def trigger_of(row: Row) -> Trigger:
    """From a row with `COLUMNS`."""
    return Trigger(
        id=row["trigger_id"],
        name=TriggerName(row["project"], row["domain"], row["task_name"], row["name"]),
        revision=row["revision"],
        task_version=row["task_version"],
        active=bool(row["active"]),
        automation_type=row["automation_type"],
        spec=row["spec"],
        automation=row["automation"],
        description=row["description"],
        deployed_by=row["deployed_by"],
        updated_by=row["updated_by"],
        deployed_at=from_micros(row["deployed_at"]),
        updated_at=from_micros(row["updated_at"]),
        deleted_at=maybe_moment(row["deleted_at"]),
        triggered_at=maybe_moment(row["triggered_at"]),
    )


def _key(name: TriggerName) -> tuple[str, str, str, str]:
    return name.project, name.domain, name.task, name.name


def _state(trigger: Trigger) -> tuple[Value, ...]:
    return (
        trigger.task_version,
        trigger.active,
        trigger.automation_type,
        trigger.spec,
        trigger.automation,
        trigger.description,
        trigger.deployed_by,
        trigger.updated_by,
        to_micros(trigger.deployed_at),
        to_micros(trigger.updated_at),
        maybe_micros(trigger.deleted_at),
    )
