"""flyteidl2.actions.ActionsService: what the runtime inside a task asks for. The stock SDK is its only caller."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from connectrpc.request import RequestContext
from flyteidl2.actions import actions_service_pb2 as pb
from flyteidl2.actions.actions_service_connect import ActionsService
from flyteidl2.task import common_pb2
from flyteidl2.workflow import state_service_pb2
from google.protobuf.message import DecodeError

from wingbeat.blobs.store import Blobs
from wingbeat.core.action import Failure, Phase
from wingbeat.core.child import ChildState, TaskChild, TraceChild
from wingbeat.core.condition import ConditionChild
from wingbeat.core.ids import ActionId
from wingbeat.core.launch import inputs_object
from wingbeat.errors import FailedPrecondition, InvalidArgument, NotFound
from wingbeat.operations import actions, children, conditions, current, ending
from wingbeat.rpc.identity import Identify, nobody
from wingbeat.store import children as stored_children
from wingbeat.store.changes import children_topic
from wingbeat.store.database import Database, Transaction
from wingbeat.wire import actions as wire_actions
from wingbeat.wire import children as wire
from wingbeat.wire import outcome, values
from wingbeat.wire.caching import exact_key
from wingbeat.wire.runs import task_traits

Context = RequestContext[Any, Any]

FULL_LOOK_SECONDS = 20.0
"""How often a watch looks at all children again, and says that it lives."""
OVERLAP = timedelta(seconds=2)
"""A look finds what changed since so long before the last one: transactions end later than their `now`."""
COALESCE_SECONDS = 0.01
"""Changes that come together are one look."""
DEFAULT_REASON = "aborted by its parent"
MAX_INPUTS_BYTES = 64 * 1024 * 1024
"""Of a child with a cache, which are read to tell nested values apart. The SDK writes 10 MiB unless told otherwise."""


class Actions(ActionsService):
    def __init__(self, database: Database, blobs: Blobs, *, identify: Identify = nobody) -> None:
        self._database = database
        self._blobs = blobs
        self._identify = identify

    async def enqueue(self, request: pb.EnqueueRequest, ctx: Context) -> pb.EnqueueResponse:
        match wire.child_of(request.action):
            case TraceChild() as child:
                trace = replace(child, failure=await self._failure(child))
                await self._database.write(lambda tx: children.record(tx, trace))
            case ConditionChild() as condition:
                await self._database.write(lambda tx: conditions.enqueue(tx, condition))
            case TaskChild() as child:
                task = await self._keyed(child)
                await self._database.write(lambda tx: children.enqueue(tx, task))
        return pb.EnqueueResponse()

    async def watch_for_updates(
        self, request: pb.WatchForUpdatesRequest, ctx: Context
    ) -> AsyncIterator[pb.WatchForUpdatesResponse]:
        """All children, the sentinel, then every change. At least once; ends when the client leaves."""
        parent = wire_actions.action_id(request.parent_action_id)
        steady = asyncio.get_running_loop().time
        sent: dict[str, int] = {}
        since: datetime | None = None
        full_look_at = steady()
        with self._database.changes.subscribe(children_topic(parent.run, parent.name)) as changes:
            while True:
                if steady() >= full_look_at:
                    since, full_look_at = None, steady() + FULL_LOOK_SECONDS
                at, found = await self._database.read(lambda tx, since=since: _look(tx, parent, since))
                for child in found:
                    if sent.get(child.action.id.name) != child.action.version:
                        sent[child.action.id.name] = child.action.version
                        yield pb.WatchForUpdatesResponse(action_update=wire.update(child))
                if since is None:
                    yield _SENTINEL
                since = at - OVERLAP
                await changes.wait(full_look_at - steady())
                await asyncio.sleep(COALESCE_SECONDS)

    async def abort(self, request: pb.AbortRequest, ctx: Context) -> pb.AbortResponse:
        """Ends the action and all below it; one that is over stays what it is."""
        action, reason = wire_actions.action_id(request.action_id), request.reason or DEFAULT_REASON
        await self._database.write(lambda tx: ending.abort(tx, action, reason))
        return pb.AbortResponse()

    async def update(self, request: pb.UpdateRequest, ctx: Context) -> pb.UpdateResponse:
        """Only the cache status counts, and only of the attempt that is being made: the rest follows from executors."""
        action, attempt, status = (
            wire_actions.action_id(request.action_id),
            request.attempt,
            request.status.cache_status,
        )
        await self._database.write(lambda tx: actions.note_cache(tx, action, attempt=attempt, status=status))
        return pb.UpdateResponse()

    async def signal(self, request: pb.SignalRequest, ctx: Context) -> pb.SignalResponse:
        """Who signals is who calls; where nobody vouches for callers at all, it is who the request says."""
        action, value = wire_actions.action_id(request.action_id), values.literal_value(request.value)
        by = request.signalled_by.user.id.subject if self._identify is nobody else self._identify(ctx).subject
        await self._database.write(
            lambda tx: conditions.signal(tx, action, value, by=by, parent=request.parent_action_name)
        )
        return pb.SignalResponse()

    async def _keyed(self, child: TaskChild) -> TaskChild:
        """With a key that no other inputs have. Raises NotFound when the parent has not written them; InvalidArgument
        when they are none, or too large: the SDK would repeat a call that fails otherwise for ever.
        """
        if not child.cache_key:
            return child
        uri = inputs_object(child.input_uri)
        try:
            given = common_pb2.Inputs.FromString(await self._blobs.get(uri, at_most=MAX_INPUTS_BYTES))
        except FailedPrecondition as error:
            raise InvalidArgument(f"action.input_uri, of a task with a cache: {error}") from error
        except DecodeError as error:
            raise InvalidArgument(f"action.input_uri: {uri} holds no inputs: {error}") from error
        return replace(child, cache_key=exact_key(child.cache_key, given, task_traits(child.spec).ignored))

    async def _failure(self, trace: TraceChild) -> Failure | None:
        """Why it failed, which its parent writes down instead of telling it; None also when that is not there."""
        if trace.phase is not Phase.FAILED:
            return None
        try:
            return outcome.reported(await self._blobs.get(trace.error_uri, at_most=outcome.MAX_ERROR_BYTES))
        except NotFound:
            return None
        except FailedPrecondition as error:
            return outcome.unread(str(error))


_SENTINEL = pb.WatchForUpdatesResponse(control_message=state_service_pb2.ControlMessage(sentinel=True))


async def _look(tx: Transaction, parent: ActionId, since: datetime | None) -> tuple[datetime, Sequence[ChildState]]:
    if since is None:
        await current.get(tx, parent)
    return tx.settled, await stored_children.of_parent(tx, parent, since=since)
