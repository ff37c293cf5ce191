"""Rows of `project`. A project is archived, never deleted."""

from wingbeat.core.listing import ListQuery, Page, Sort
from wingbeat.core.project import Project, ProjectState
from wingbeat.store.database import Row, Transaction, to_micros
from wingbeat.store.filters import Column, Columns, Kind
from wingbeat.store.listing import Listing, fetch_page

_COLUMNS = "p.id, p.name, p.description, p.labels, p.state"
_LIST = Listing(
    select=_COLUMNS,
    source="project p WHERE {where}",
    columns=Columns(
        {
            "identifier": Column("p.id"),
            "name": Column("p.name"),
            "description": Column("p.description"),
            "state": Column("p.state", Kind.INTEGER),
            "created_at": Column("p.created_at", Kind.MOMENT),
            "updated_at": Column("p.updated_at", Kind.MOMENT),
        }
    ),
    key=("identifier",),
    default_sort=(Sort("identifier", ascending=True),),
)


async def insert(tx: Transaction, project: Project) -> bool:
    """Whether the id was free; otherwise nothing is changed."""
    inserted = await tx.execute(
        """
        INSERT INTO project (id, name, description, labels, state, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $6)
        ON CONFLICT DO NOTHING
        """,
        project.id,
        project.name,
        project.description,
        project.labels,
        int(project.state),
        to_micros(tx.now),
    )
    return inserted == 1


async def update(tx: Transaction, project: Project) -> bool:
    """Replace everything but the id; whether the project exists."""
    updated = await tx.execute(
        """
        UPDATE project
           SET name = $2, description = $3, labels = $4, state = $5, updated_at = $6
         WHERE id = $1
        """,
        project.id,
        project.name,
        project.description,
        project.labels,
        int(project.state),
        to_micros(tx.now),
    )
    return updated == 1


async def find(tx: Transaction, project_id: str) -> Project | None:
    """The project in whatever state."""
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM project p WHERE p.id = $1", project_id)
    return _project(row) if row else None


async def list_projects(tx: Transaction, query: ListQuery) -> Page[Project]:
    """Raises InvalidArgument."""
    page = await fetch_page(tx, _LIST, query)
    return Page([_project(row) for row in page.items], page.next_token)


def _project(row: Row) -> Project:
    return Project(row["id"], row["name"], row["description"], row["labels"], ProjectState(row["state"]))
