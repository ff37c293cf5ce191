"""flyteidl2.trigger.TriggerService."""

from typing import Any

from connectrpc.request import RequestContext
from flyteidl2.trigger import trigger_service_pb2 as pb
from flyteidl2.trigger.trigger_service_connect import TriggerService

from wingbeat.core.ids import Scope, TaskId, TaskName
from wingbeat.core.project import Domains
from wingbeat.core.trigger import Trigger
from wingbeat.errors import NotFound
from wingbeat.operations import triggers
from wingbeat.operations.planning import RunDefaults, check_trigger
from wingbeat.rpc.identity import Identify, nobody
from wingbeat.store import trigger_lists
from wingbeat.store import triggers as stored
from wingbeat.store.database import Database, Transaction
from wingbeat.store.trigger_lists import TriggerScope
from wingbeat.wire import listing
from wingbeat.wire import triggers as wire

Context = RequestContext[Any, Any]


class Triggers(TriggerService):
    def __init__(
        self, database: Database, domains: Domains, defaults: RunDefaults, *, identify: Identify = nobody
    ) -> None:
        self._database = database
        self._domains = domains
        self._defaults = defaults
        self._identify = identify

    async def deploy_trigger(self, request: pb.DeployTriggerRequest, ctx: Context) -> pb.DeployTriggerResponse:
        wanted = wire.deployment(request)
        check_trigger(wanted, self._defaults)

        async def body(tx: Transaction) -> Trigger:
            return await triggers.deploy(
                tx, wanted, expected_revision=request.revision, by=self._identify(ctx).subject, domains=self._domains
            )

        return pb.DeployTriggerResponse(trigger=wire.details(await self._database.write(body)))

    async def get_trigger_details(
        self, request: pb.GetTriggerDetailsRequest, ctx: Context
    ) -> pb.GetTriggerDetailsResponse:
        name = wire.name_from_proto(request.name)
        trigger = await self._database.read(lambda tx: triggers.get(tx, name))
        return pb.GetTriggerDetailsResponse(trigger=wire.details(trigger))

    async def get_trigger_revision_details(
        self, request: pb.GetTriggerRevisionDetailsRequest, ctx: Context
    ) -> pb.GetTriggerRevisionDetailsResponse:
        name, revision = wire.name_from_proto(request.id.name), request.id.revision

        async def body(tx: Transaction) -> Trigger | None:
            trigger = await stored.find(tx, name, deleted=True)
            return await stored.at_revision(tx, trigger.id, revision) if trigger else None

        trigger = await self._database.read(body)
        if trigger is None:
            raise NotFound(f"revision {revision} of trigger {name.name!r} of task {name.task!r} does not exist")
        return pb.GetTriggerRevisionDetailsResponse(trigger=wire.details(trigger))

    async def list_triggers(self, request: pb.ListTriggersRequest, ctx: Context) -> pb.ListTriggersResponse:
        query, scope = listing.from_proto(request.request), _scope(request)
        page = await self._database.read(lambda tx: trigger_lists.page(tx, query, scope))
        return pb.ListTriggersResponse(triggers=[wire.listed(trigger) for trigger in page.items], token=page.next_token)

    async def get_trigger_revision_history(
        self, request: pb.GetTriggerRevisionHistoryRequest, ctx: Context
    ) -> pb.GetTriggerRevisionHistoryResponse:
        query, name = listing.from_proto(request.request), wire.name_from_proto(request.name)

        async def body(tx: Transaction) -> pb.GetTriggerRevisionHistoryResponse:
            trigger = await triggers.get(tx, name, deleted=True)
            page = await trigger_lists.history(tx, query, trigger.id)
            return pb.GetTriggerRevisionHistoryResponse(
                triggers=[wire.revision(revision) for revision in page.items], token=page.next_token
            )

        return await self._database.read(body)

    async def update_triggers(self, request: pb.UpdateTriggersRequest, ctx: Context) -> pb.UpdateTriggersResponse:
        names = [wire.name_from_proto(name) for name in request.names]
        by = self._identify(ctx).subject

        async def body(tx: Transaction) -> None:
            if request.active:
                await triggers.activate(tx, names, by=by, domains=self._domains)
            else:
                await triggers.set_active(tx, names, False, by=by)

        await self._database.write(body)
        return pb.UpdateTriggersResponse()

    async def delete_triggers(self, request: pb.DeleteTriggersRequest, ctx: Context) -> pb.DeleteTriggersResponse:
        names = [wire.name_from_proto(name) for name in request.names]
        by = self._identify(ctx).subject
        await self._database.write(lambda tx: triggers.delete(tx, names, by=by))
        return pb.DeleteTriggersResponse()


def _scope(request: pb.ListTriggersRequest) -> TriggerScope:
    match request.WhichOneof("scope_by"):
        case "project_id":
            return Scope(request.project_id.name, request.project_id.domain)
        case "task_name":
            task = request.task_name
            return TaskName(task.project, task.domain, task.name)
        case "task_id":
            task = request.task_id
            return TaskId(task.project, task.domain, task.name, task.version)
        case _:
            return None
