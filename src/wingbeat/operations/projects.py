"""What callers can do with projects, and whether something new may be put into one."""

from collections.abc import Iterable

from wingbeat.core.project import Domains, Project, ProjectState, check_description, check_project
from wingbeat.errors import AlreadyExists, FailedPrecondition, NotFound
from wingbeat.store import projects
from wingbeat.store.database import Transaction


async def seed(tx: Transaction, ids: Iterable[str]) -> None:
    """Create the projects that are missing; others are left as they are. Raises InvalidArgument for an illegal id."""
    for project_id in ids:
        project = Project(project_id, name=project_id, description="", labels=b"", state=ProjectState.ACTIVE)
        check_project(project)
        await projects.insert(tx, project)


async def create(tx: Transaction, project: Project) -> None:
    """Raises InvalidArgument, AlreadyExists."""
    check_project(project)
    if not await projects.insert(tx, project):
        raise AlreadyExists(f"project {project.id!r} already exists")


async def update(tx: Transaction, project: Project) -> None:
    """Replace the name, description, labels and state. Raises InvalidArgument, NotFound."""
    check_description(project)
    if not await projects.update(tx, project):
        raise _not_found(project.id)


async def get(tx: Transaction, project_id: str) -> Project:
    """The project, archived ones too. Raises NotFound."""
    project = await projects.find(tx, project_id)
    if project is None:
        raise _not_found(project_id)
    return project


async def require_active(tx: Transaction, project: str, domain: str, *, domains: Domains) -> None:
    """Something new is about to be put there.

    Raises InvalidArgument: no such domain is configured; NotFound; FailedPrecondition: the project is archived.
    """
    domains.require(domain)
    if (await get(tx, project)).state.archived:
        raise FailedPrecondition(f"project {project!r} is archived: make it active again first")


def _not_found(project_id: str) -> NotFound:
    return NotFound(f"project {project_id!r} not found")
