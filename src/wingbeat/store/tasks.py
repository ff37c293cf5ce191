"""Rows of `task` and `task_spec`: the versions of tasks, and their specs by digest. Lists leave the specs alone."""

from dataclasses import replace

from wingbeat.core.action import TaskRef
from wingbeat.core.ids import TaskId, TaskName
from wingbeat.core.listing import ListQuery, Page, Sort
from wingbeat.core.project import ProjectState
from wingbeat.core.task import StoredTask, Task, TaskCounts, TaskDeployment
from wingbeat.core.uploads import spoken_of
from wingbeat.store import buried_specs, upload_uses
from wingbeat.store.database import Row, Transaction, from_micros, to_micros
from wingbeat.store.filters import Arguments, Column, Columns, Kind
from wingbeat.store.listing import Listing, fetch_page, matching

_COLUMNS = """
    t.project, t.domain, t.name, t.version, t.type, t.environment, t.function_name, t.short_name, t.env_description,
    t.short_description, t.entrypoint, t.spec_digest, t.deployed_by, t.created_at, t.updated_at
"""
_TRIGGERS = (
    "FROM trigger_spec g WHERE g.project = t.project AND g.domain = t.domain AND g.task_name = t.name"
    " AND g.task_version = t.version AND g.deleted_at IS NULL"
)


def _fields(latest: str) -> Columns:
    """Of `task t`; what `task_latest` has as well comes from the table `latest`."""
    return Columns(
        {
            "project": Column(f"{latest}.project"),
            "domain": Column(f"{latest}.domain"),
            "name": Column(f"{latest}.name"),
            "version": Column("t.version"),
            "environment": Column("t.environment"),
            "function_name": Column("t.function_name"),
            "deployed_by": Column("t.deployed_by"),
            "entrypoint": Column("t.entrypoint", Kind.FLAG),
            "env_description": Column("t.env_description"),
            "short_description": Column("t.short_description"),
            "created_at": Column(f"{latest}.created_at", Kind.MOMENT),
            "updated_at": Column("t.updated_at", Kind.MOMENT),
            "total_triggers": Column(f"SELECT count(*) {_TRIGGERS}", Kind.INTEGER),
            "active_triggers": Column(f"SELECT count(*) {_TRIGGERS} AND g.active", Kind.INTEGER),
            "trigger_name": Column(f"SELECT CASE WHEN count(*) = 1 THEN min(g.name) END {_TRIGGERS}", nullable=True),
        }
    )


_OF_THE_NAME = frozenset({"project", "domain", "name"})
"""Fields that all versions of a task share."""
_LATEST = Listing(
    select=_COLUMNS,
    source="""task_latest l
        JOIN task t ON t.project = l.project AND t.domain = l.domain AND t.name = l.name AND t.version = l.version
        WHERE {where}""",
    columns=_fields("l"),
    key=("name", "project", "domain"),
    default_sort=(Sort("created_at"),),
)
_LATEST_MATCHING = replace(
    _LATEST,
    source="""(
        SELECT t.*, row_number() OVER (
                   PARTITION BY t.project, t.domain, t.name ORDER BY t.created_at DESC, t.version DESC
               ) AS age
          FROM task t WHERE {where}
    ) t WHERE t.age = 1""",
    columns=_fields("t"),
)
_NAMES = replace(_LATEST, source="task_latest l WHERE {where}")
_NAMES_MATCHING = replace(
    _LATEST_MATCHING, source="(SELECT DISTINCT t.project, t.domain, t.name FROM task t WHERE {where}) n"
)
_VERSIONS = Listing(
    select=_COLUMNS,
    source="task t WHERE {where}",
    columns=Columns({"version": Column("t.version"), "created_at": Column("t.created_at", Kind.MOMENT)}),
    key=("version",),
    default_sort=(Sort("created_at"),),
)


async def put_spec(tx: Transaction, digest: str, spec: bytes) -> None:
    """Remember a spec by its digest; one that is there already stays."""
    sql = "INSERT INTO task_spec (digest, spec) VALUES ($1, $2) ON CONFLICT DO NOTHING"
    if await tx.execute(sql, digest, spec):
        await upload_uses.note(tx, upload_uses.of_spec(digest), spoken_of(spec))


async def spec(tx: Transaction, digest: str) -> bytes | None:
    row = await tx.fetchrow("SELECT spec FROM task_spec WHERE digest = $1", digest)
    return row["spec"] if row else await buried_specs.find(tx, digest)


async def digest_of(tx: Transaction, task: TaskId) -> str | None:
    """Of the spec that the version has."""
    row = await tx.fetchrow(
        "SELECT spec_digest FROM task WHERE project = $1 AND domain = $2 AND name = $3 AND version = $4",
        task.project,
        task.domain,
        task.name,
        task.version,
    )
    return row["spec_digest"] if row else None


async def put(tx: Transaction, deployment: TaskDeployment, *, by: str) -> None:
    """Insert the version, or replace all of it but the moment of its first deployment. Its spec must be there."""
    ref = deployment.ref
    await tx.execute(
        """
        INSERT INTO task
            (project, domain, name, version, type, environment, function_name, short_name, env_description,
             short_description, entrypoint, spec_digest, deployed_by, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14)
        ON CONFLICT (project, domain, name, version) DO UPDATE
           SET type = excluded.type, environment = excluded.environment, function_name = excluded.function_name,
               short_name = excluded.short_name, env_description = excluded.env_description,
               short_description = excluded.short_description, entrypoint = excluded.entrypoint,
               spec_digest = excluded.spec_digest, deployed_by = excluded.deployed_by, updated_at = excluded.updated_at
        """,
        ref.id.project,
        ref.id.domain,
        ref.id.name,
        ref.id.version,
        ref.type,
        ref.environment,
        ref.function_name,
        ref.short_name,
        deployment.env_description,
        deployment.short_description,
        deployment.entrypoint,
        ref.spec_digest,
        by,
        to_micros(tx.now),
    )
    await tx.execute(
        """
        INSERT INTO task_latest (project, domain, name, version, created_at)
        SELECT project, domain, name, version, created_at
          FROM task WHERE project = $1 AND domain = $2 AND name = $3 AND version = $4
        ON CONFLICT (project, domain, name) DO UPDATE
           SET version = excluded.version, created_at = excluded.created_at
         WHERE (excluded.created_at, excluded.version) > (task_latest.created_at, task_latest.version)
        """,
        ref.id.project,
        ref.id.domain,
        ref.id.name,
        ref.id.version,
    )


async def find(tx: Transaction, task: TaskId) -> StoredTask | None:
    row = await tx.fetchrow(
        f"""
        SELECT {_COLUMNS}, s.spec, p.state
          FROM task t JOIN task_spec s ON s.digest = t.spec_digest LEFT JOIN project p ON p.id = t.project
         WHERE t.project = $1 AND t.domain = $2 AND t.name = $3 AND t.version = $4
        """,
        task.project,
        task.domain,
        task.name,
        task.version,
    )
    if row is None:
        return None
    archived = row["state"] is not None and ProjectState(row["state"]).archived
    return StoredTask(_task(row), row["spec"], archived=archived)


async def list_tasks(tx: Transaction, query: ListQuery, *, project: str = "", domain: str = "") -> Page[Task]:
    """Of each task the latest version among those that match; "" is any project or domain. Raises InvalidArgument."""
    args = Arguments()
    listing, alias = (_LATEST, "l") if _by_name(query) else (_LATEST_MATCHING, "t")
    page = await fetch_page(tx, listing, query, scope=_scope(args, alias, project=project, domain=domain), args=args)
    return Page([_task(row) for row in page.items], page.next_token)


async def count(tx: Transaction, query: ListQuery, *, project: str = "", domain: str = "") -> TaskCounts:
    """How many tasks all pages of `list_tasks` have together, and would have without filters."""
    total = await _count_names(tx, ListQuery(), project, domain)
    return TaskCounts(total, await _count_names(tx, query, project, domain) if query.filters else total)


async def list_versions(tx: Transaction, query: ListQuery, task: TaskName) -> Page[Task]:
    """Raises InvalidArgument."""
    scope = ["t.project = $1", "t.domain = $2", "t.name = $3"]
    args = Arguments(task.project, task.domain, task.name)
    page = await fetch_page(tx, _VERSIONS, query, scope=scope, args=args)
    return Page([_task(row) for row in page.items], page.next_token)


async def _count_names(tx: Transaction, query: ListQuery, project: str, domain: str) -> int:
    args = Arguments()
    listing, alias = (_NAMES, "l") if _by_name(query) else (_NAMES_MATCHING, "t")
    source = matching(listing, query, scope=_scope(args, alias, project=project, domain=domain), args=args)
    rows = await tx.fetch(f"SELECT count(*) AS names FROM {source}", *args.values)
    return rows[0]["names"]


def _by_name(query: ListQuery) -> bool:
    """Whether the latest version that matches is the latest of all."""
    return all(each.field in _OF_THE_NAME for each in query.filters)


def _scope(args: Arguments, alias: str, **names: str) -> list[str]:
    return [f"{alias}.{column} = {args.add(name)}" for column, name in names.items() if name]


def _task(row: Row) -> Task:
    task = TaskId(row["project"], row["domain"], row["name"], row["version"])
    ref = TaskRef(task, row["type"], row["short_name"], row["function_name"], row["environment"], row["spec_digest"])
    return Task(
        ref=ref,
        env_description=row["env_description"],
        short_description=row["short_description"],
        entrypoint=bool(row["entrypoint"]),
        deployed_by=row["deployed_by"],
        created_at=from_micros(row["created_at"]),
        updated_at=from_micros(row["updated_at"]),
    )
