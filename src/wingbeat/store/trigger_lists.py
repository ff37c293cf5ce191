"""Lists of triggers and of their revisions."""

from wingbeat.core.ids import Scope, TaskId, TaskName
from wingbeat.core.listing import ListQuery, Page, Sort
from wingbeat.core.trigger import Revision, Trigger
from wingbeat.store import triggers
from wingbeat.store.database import Transaction, from_micros
from wingbeat.store.filters import Arguments, Column, Columns, Kind
from wingbeat.store.listing import Listing, fetch_page

TriggerScope = Scope | TaskName | TaskId | None
"""None: every trigger there is."""

_COLUMNS = Columns(
    {
        "id": Column("t.trigger_id", Kind.INTEGER),
        "project": Column("t.project"),
        "domain": Column("t.domain"),
        "task_name": Column("t.task_name"),
        "name": Column("t.name"),
        "active": Column("t.active", Kind.FLAG),
        "deployed_at": Column("t.deployed_at", Kind.MOMENT),
        "updated_at": Column("t.updated_at", Kind.MOMENT),
        "task_version": Column("t.task_version"),
        "automation_type": Column("t.automation_type"),
    }
)
_OF_TASK = (
    "t.trigger_id IN (SELECT k.trigger_id FROM trigger_spec k"
    " WHERE k.project = {} AND k.domain = {} AND k.task_name = {})"
)
"""Otherwise SQLite goes through all triggers of the domain in the order of the list."""
_TRIGGERS = Listing(
    select=triggers.COLUMNS,
    source=f"{triggers.TABLES} WHERE t.deleted_at IS NULL AND {{where}}",
    columns=_COLUMNS,
    key=("id",),
    default_sort=(Sort("active", ascending=False), Sort("updated_at", ascending=False)),
)
_REVISIONS = Listing(
    select=f"{triggers.REVISION_COLUMNS}, r.action, r.created_at",
    source=f"{triggers.REVISION_TABLES} WHERE {{where}}",
    columns=Columns(
        {
            "revision": Column("r.revision", Kind.INTEGER),
            "deployed_at": Column("r.deployed_at", Kind.MOMENT),
            "updated_at": Column("r.updated_at", Kind.MOMENT),
            "action": Column("r.action"),
        }
    ),
    key=("revision",),
    default_sort=(Sort("revision", ascending=False),),
)


async def page(tx: Transaction, query: ListQuery, scope: TriggerScope) -> Page[Trigger]:
    """Triggers that are not deleted."""
    args = Arguments()
    found = await fetch_page(tx, _TRIGGERS, query, scope=_conditions(scope, args), args=args)
    return Page([triggers.trigger_of(row) for row in found.items], found.next_token)


async def history(tx: Transaction, query: ListQuery, trigger_id: int) -> Page[Revision]:
    """Every revision, also of a trigger that is deleted."""
    args = Arguments()
    found = await fetch_page(tx, _REVISIONS, query, scope=[f"r.trigger_id = {args.add(trigger_id)}"], args=args)
    revisions = [
        Revision(triggers.trigger_of(row), row["action"], from_micros(row["created_at"])) for row in found.items
    ]
    return Page(revisions, found.next_token)


def _conditions(scope: TriggerScope, args: Arguments) -> list[str]:
    if scope is None:
        return []
    project, domain = args.add(scope.project), args.add(scope.domain)
    if isinstance(scope, Scope):
        return [f"t.project = {project}", f"t.domain = {domain}"]
    found = [_OF_TASK.format(project, domain, args.add(scope.name))]
    if isinstance(scope, TaskId):
        found.append(f"t.task_version = {args.add(scope.version)}")
    return found
