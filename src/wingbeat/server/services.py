"""The services that this server mounts: those of the Flyte API, and our own."""

from collections.abc import Mapping, Sequence

from wingbeat.config.settings import Settings
from wingbeat.operations.firing import Firer
from wingbeat.rpc.actions_service import Actions
from wingbeat.rpc.automation_service import Automation
from wingbeat.rpc.cluster_service import Clusters
from wingbeat.rpc.dataproxy_service import DataProxy, DataProxyLimits
from wingbeat.rpc.identity import Identify
from wingbeat.rpc.identity_service import Identity
from wingbeat.rpc.image_service import Images
from wingbeat.rpc.log_tail import LogTail
from wingbeat.rpc.project_service import Projects
from wingbeat.rpc.retention_service import Retention
from wingbeat.rpc.run_service.service import Runs
from wingbeat.rpc.task_service import Tasks
from wingbeat.rpc.trigger_service import Triggers
from wingbeat.server.node import RunningNode
from wingbeat.server.storage import Storage
from wingbeat.store.database import Database

SERVICES: tuple[type, ...] = (
    Actions,
    Automation,
    Clusters,
    DataProxy,
    Identity,
    Images,
    Projects,
    Retention,
    Runs,
    Tasks,
    Triggers,
)

_INSIDE = "used between the parts of the Go implementation, never by clients"
NOT_SERVED: Mapping[str, str] = {
    "AppLogsService": "apps do not exist yet",
    "AppService": "apps do not exist yet",
    "ArtifactService": "artifacts do not exist yet",
    "AsyncConnectorService": "connectors do not exist yet",
    "AuthMetadataService": "tokens are issued elsewhere: the server only checks them",
    "CacheService": "the server keeps results and looks them up by itself",
    "ConnectorMetadataService": "connectors do not exist yet",
    "DomainService": "domains are configuration: ProjectService shows them",
    "EventsProxyService": _INSIDE,
    "InternalRunService": _INSIDE,
    "QueueService": "replaced by ActionsService",
    "RunLogsService": "deprecated: DataProxyService/TailLogs",
    "SecretService": "secrets do not exist yet",
    "SettingsService": "settings of projects and domains do not exist yet",
    "StateService": "replaced by ActionsService",
    "TrackedRunService": "runs elsewhere cannot be tracked yet",
    "TranslatorService": "meant for web pages, which do not exist yet",
}
"""The other services of flyteidl2, and why they are not here."""


def services(
    settings: Settings, database: Database, storage: Storage, node: RunningNode, firer: Firer, *, identify: Identify
) -> Sequence[object]:
    """One of each of `SERVICES`."""
    domains, defaults = firer.domains, firer.defaults
    data_proxy = DataProxy(
        database,
        storage.blobs,
        LogTail(database, storage.blobs, node.executor, node=node.id),
        domains=domains,
        limits=DataProxyLimits(max_upload_bytes=settings.limits.upload, max_answer_bytes=settings.limits.message),
        public_url=settings.server.public_url,
    )
    return (
        Actions(database, storage.blobs, identify=identify),
        Automation(database, domains, defaults, identify=identify),
        Clusters(),
        data_proxy,
        Identity(identify=identify),
        Images(),
        Projects(database, domains),
        Retention(database, identify=identify),
        Runs(database, domains, defaults, identify=identify),
        Tasks(database, domains, defaults, identify=identify),
        Triggers(database, domains, defaults, identify=identify),
    )
