"""flyteidl2.task.TaskService."""

from collections.abc import Sequence
from typing import Any

from connectrpc.request import RequestContext
from flyteidl2.task import task_service_pb2 as pb
from flyteidl2.task.task_service_connect import TaskService

from wingbeat.core.project import Domains
from wingbeat.core.task import StoredTask
from wingbeat.core.trigger import Trigger
from wingbeat.operations import tasks
from wingbeat.operations.planning import RunDefaults, check_trigger
from wingbeat.rpc.identity import Identify, nobody
from wingbeat.store import latest_runs, triggers
from wingbeat.store import tasks as stored
from wingbeat.store.database import Database, Transaction
from wingbeat.wire import listing
from wingbeat.wire import tasks as wire

Context = RequestContext[Any, Any]


class Tasks(TaskService):
    def __init__(
        self, database: Database, domains: Domains, defaults: RunDefaults, *, identify: Identify = nobody
    ) -> None:
        self._database = database
        self._domains = domains
        self._defaults = defaults
        self._identify = identify

    async def deploy_task(self, request: pb.DeployTaskRequest, ctx: Context) -> pb.DeployTaskResponse:
        wanted, with_triggers = wire.deployment(request), wire.triggers(request)
        for trigger in with_triggers:
            check_trigger(trigger, self._defaults)
        by = self._identify(ctx).subject
        await self._database.write(lambda tx: tasks.deploy(tx, wanted, with_triggers, by=by, domains=self._domains))
        return pb.DeployTaskResponse()

    async def get_task_details(self, request: pb.GetTaskDetailsRequest, ctx: Context) -> pb.GetTaskDetailsResponse:
        task = wire.id_from_proto(request.task_id)

        async def body(tx: Transaction) -> tuple[StoredTask, Sequence[Trigger]]:
            return await tasks.get(tx, task), await triggers.of_version(tx, task)

        found, with_triggers = await self._database.read(body)
        return pb.GetTaskDetailsResponse(details=wire.details(found, with_triggers))

    async def list_tasks(self, request: pb.ListTasksRequest, ctx: Context) -> pb.ListTasksResponse:
        query = wire.query_from_proto(request)
        project, domain = request.project_id.name, request.project_id.domain

        async def body(tx: Transaction) -> pb.ListTasksResponse:
            page = await stored.list_tasks(tx, query, project=project, domain=domain)
            versions = [task.ref.id for task in page.items]
            return wire.tasks_page(
                page,
                await triggers.of_versions(tx, versions),
                await latest_runs.of_tasks(tx, [version.task_name for version in versions]),
                await stored.count(tx, query, project=project, domain=domain),
            )

        return await self._database.read(body)

    async def list_versions(self, request: pb.ListVersionsRequest, ctx: Context) -> pb.ListVersionsResponse:
        query, task = listing.from_proto(request.request), wire.name_from_proto(request.task_name)

        async def body(tx: Transaction) -> pb.ListVersionsResponse:
            page = await stored.list_versions(tx, query, task)
            return wire.versions_page(page, await latest_runs.of_versions(tx, [each.ref.id for each in page.items]))

        return await self._database.read(body)
