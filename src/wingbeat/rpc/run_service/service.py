"""The methods of RunService."""

import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar

from connectrpc.request import RequestContext
from flyteidl2.workflow import run_definition_pb2
from flyteidl2.workflow import run_service_pb2 as pb
from flyteidl2.workflow.run_service_connect import RunService

from wingbeat.core.ids import ROOT_ACTION, ActionId, AttemptId, generated_name
from wingbeat.core.project import Domains
from wingbeat.operations import conditions
from wingbeat.operations.current import get
from wingbeat.operations.ending import abort
from wingbeat.operations.planning import RunDefaults
from wingbeat.operations.runs import create
from wingbeat.rpc.identity import Identify, nobody
from wingbeat.rpc.run_service import details, requests
from wingbeat.rpc.run_service.watches import Watches
from wingbeat.store import actions, runs
from wingbeat.store.database import Database, Transaction
from wingbeat.wire import actions as wire
from wingbeat.wire import listing, values

Context = RequestContext[Any, Any]

RANDOM_BYTES = 19
DEFAULT_REASON = "User requested abort"


class Runs(RunService):
    NOT_YET: ClassVar[Mapping[str, str]] = {
        "GetActionData": "deprecated: use DataProxyService/GetActionData",
    }

    def __init__(
        self, database: Database, domains: Domains, defaults: RunDefaults, *, identify: Identify = nobody
    ) -> None:
        self._database = database
        self._domains = domains
        self._defaults = defaults
        self._identify = identify
        self._watches = Watches(database)

    async def create_run(self, request: pb.CreateRunRequest, ctx: Context) -> pb.CreateRunResponse:
        wanted = requests.run_request(request, ctx, caller=self._identify(ctx))
        fresh_name = generated_name(secrets.token_bytes(RANDOM_BYTES))

        created = await self._database.write(
            lambda tx: create(tx, wanted, defaults=self._defaults, domains=self._domains, fresh_name=fresh_name)
        )
        return pb.CreateRunResponse(run=wire.run(created.root, created.labels))

    async def abort_run(self, request: pb.AbortRunRequest, ctx: Context) -> pb.AbortRunResponse:
        """Ends every action of the run that is not over. A run that is over stays what it is."""
        root, reason = ActionId(wire.run_id(request.run_id), ROOT_ACTION), request.reason or DEFAULT_REASON
        await self._database.write(lambda tx: abort(tx, root, reason))
        return pb.AbortRunResponse()

    async def abort_action(self, request: pb.AbortActionRequest, ctx: Context) -> pb.AbortActionResponse:
        """Ends the action and all below it. One that is over stays what it is."""
        action, reason = wire.action_id(request.action_id), request.reason or DEFAULT_REASON
        await self._database.write(lambda tx: abort(tx, action, reason))
        return pb.AbortActionResponse()

    async def signal_event(self, request: pb.SignalEventRequest, ctx: Context) -> pb.SignalEventResponse:
        """Gives a condition its value; the same value again changes nothing."""
        action, value = wire.action_id(request.action_id), values.payload_value(request.payload)
        by, parent = self._identify(ctx).subject, request.parent_action_name
        await self._database.write(lambda tx: conditions.signal(tx, action, value, by=by, parent=parent))
        return pb.SignalEventResponse()

    async def get_run_details(self, request: pb.GetRunDetailsRequest, ctx: Context) -> pb.GetRunDetailsResponse:
        named = details.root_of(request.run_id)

        async def body(tx: Transaction) -> run_definition_pb2.RunDetails:
            return await details.of_run(tx, await get(tx, wire.action_id(named)), named)

        return pb.GetRunDetailsResponse(details=await self._database.read(body))

    async def get_action_details(
        self, request: pb.GetActionDetailsRequest, ctx: Context
    ) -> pb.GetActionDetailsResponse:
        async def body(tx: Transaction) -> run_definition_pb2.ActionDetails:
            return await details.of_action(tx, await get(tx, wire.action_id(request.action_id)), request.action_id)

        return pb.GetActionDetailsResponse(details=await self._database.read(body))

    def watch_run_details(
        self, request: pb.WatchRunDetailsRequest, ctx: Context
    ) -> AsyncIterator[pb.WatchRunDetailsResponse]:
        return self._watches.run_details(request)

    def watch_action_details(
        self, request: pb.WatchActionDetailsRequest, ctx: Context
    ) -> AsyncIterator[pb.WatchActionDetailsResponse]:
        return self._watches.action_details(request)

    def watch_actions(self, request: pb.WatchActionsRequest, ctx: Context) -> AsyncIterator[pb.WatchActionsResponse]:
        return self._watches.actions(request)

    def watch_runs(self, request: pb.WatchRunsRequest, ctx: Context) -> AsyncIterator[pb.WatchRunsResponse]:
        return self._watches.runs(request)

    def watch_groups(self, request: pb.WatchGroupsRequest, ctx: Context) -> AsyncIterator[pb.WatchGroupsResponse]:
        return self._watches.groups(request)

    def watch_cluster_events(
        self, request: pb.WatchClusterEventsRequest, ctx: Context
    ) -> AsyncIterator[pb.WatchClusterEventsResponse]:
        return self._watches.cluster_events(request)

    async def get_action_data_u_r_is(
        self, request: pb.GetActionDataURIsRequest, ctx: Context
    ) -> pb.GetActionDataURIsResponse:
        action = wire.action_id(request.action_id)
        return await self._database.read(lambda tx: details.data_uris(tx, action))

    async def get_action_log_context(
        self, request: pb.GetActionLogContextRequest, ctx: Context
    ) -> pb.GetActionLogContextResponse:
        attempt = AttemptId(wire.action_id(request.action_id), request.attempt)
        return await self._database.read(lambda tx: details.log_context(tx, attempt))

    async def list_runs(self, request: pb.ListRunsRequest, ctx: Context) -> pb.ListRunsResponse:
        query, within = listing.from_proto(request.request), requests.within(request)
        page = await self._database.read(
            lambda tx: runs.list_page(tx, query, within=within, paused_only=request.paused_actions_only)
        )
        return pb.ListRunsResponse(
            runs=[wire.run(listed.root, listed.labels) for listed in page.items], token=page.next_token
        )

    async def list_actions(self, request: pb.ListActionsRequest, ctx: Context) -> pb.ListActionsResponse:
        query, run = listing.from_proto(request.request), wire.run_id(request.run_id)
        page = await self._database.read(lambda tx: actions.list_of_run(tx, run, query))
        return pb.ListActionsResponse(actions=[wire.action(action) for action in page.items], token=page.next_token)
