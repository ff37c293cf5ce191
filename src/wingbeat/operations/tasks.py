"""What callers can do with tasks. A task and its triggers are deployed together or not at all."""

from collections import Counter
from collections.abc import Sequence

from wingbeat.core.ids import TaskId
from wingbeat.core.project import Domains
from wingbeat.core.task import StoredTask, TaskDeployment
from wingbeat.core.trigger import Deployment
from wingbeat.errors import InvalidArgument, NotFound
from wingbeat.operations import projects, triggers
from wingbeat.store import buried_specs, tasks
from wingbeat.store.database import Transaction


async def deploy(
    tx: Transaction, wanted: TaskDeployment, with_triggers: Sequence[Deployment], *, by: str, domains: Domains
) -> None:
    """Create or replace the version, and make `with_triggers` all the triggers that the task has.

    Raises InvalidArgument, NotFound, FailedPrecondition; then nothing is changed.
    """
    task = wanted.ref.id
    _check_names(with_triggers)
    await projects.require_active(tx, task.project, task.domain, domains=domains)
    before = await tasks.digest_of(tx, task)
    await tasks.put_spec(tx, wanted.ref.spec_digest, wanted.spec)
    await tasks.put(tx, wanted, by=by)
    await buried_specs.bury(tx, {before} if before else ())
    await triggers.replace(tx, task, with_triggers, by=by)


async def get(tx: Transaction, task: TaskId) -> StoredTask:
    """Raises NotFound."""
    found = await tasks.find(tx, task)
    if found is None:
        raise NotFound(f"task {task.name!r} has no version {task.version!r} in {task.project}/{task.domain}")
    return found


def _check_names(wanted: Sequence[Deployment]) -> None:
    names = Counter(deployment.name.name for deployment in wanted)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise InvalidArgument(f"trigger {twice[0]!r} is listed more than once: names are unique within a task")
