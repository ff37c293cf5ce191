"""The services of the Flyte API that this server mounts."""

from collections.abc import Sequence

from wingbeat.executors.base import Executor
from wingbeat.operations.firing import Firer
from wingbeat.rpc.cluster_service import Clusters
from wingbeat.rpc.identity_service import Identity
from wingbeat.rpc.image_service import Images
from wingbeat.rpc.project_service import Projects
from wingbeat.rpc.run_service.service import Runs
from wingbeat.rpc.task_service import Tasks
from wingbeat.rpc.trigger_service import Triggers
from wingbeat.server.storage import Storage
from wingbeat.store.database import Database

SERVICES: tuple[type, ...] = (Clusters, Identity, Images, Projects, Runs, Tasks, Triggers)


def services(database: Database, storage: Storage, executor: Executor, firer: Firer) -> Sequence[object]:
    """One of each of `SERVICES`."""
    domains, defaults = firer.domains, firer.defaults
    return (
        Clusters(),
        Identity(),
        Images(),
        Projects(database, domains),
        Runs(database, domains, defaults),
        Tasks(database, domains),
        Triggers(database, domains),
    )
