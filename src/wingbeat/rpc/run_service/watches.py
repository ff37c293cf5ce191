"""The streams of RunService. A stream sends what changed at once, and ends when nothing can change any more."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

from flyteidl2.common import identifier_pb2
from flyteidl2.workflow import run_service_pb2 as pb

from wingbeat.core.action import Action
from wingbeat.core.ids import AttemptId, RunId
from wingbeat.core.listing import ListQuery
from wingbeat.operations.current import get
from wingbeat.rpc.run_service import details, groups, requests
from wingbeat.rpc.run_service.all_runs import AllRuns
from wingbeat.rpc.run_service.feeds import Feeds
from wingbeat.rpc.run_service.run_feed import COALESCE_SECONDS, RunFeed
from wingbeat.rpc.run_service.unannounced import RunWakes
from wingbeat.rpc.streams import closing
from wingbeat.store import events, runs
from wingbeat.store.database import Database, Transaction
from wingbeat.store.runs import Listed, covers
from wingbeat.wire import actions as wire

D = TypeVar("D")
Describe = Callable[[Transaction, Action, identifier_pb2.ActionIdentifier], Awaitable[D]]

MAX_ACTIONS = 1000
"""In one message."""

FIRST_RUNS = 100
"""In the first message of a stream of runs."""


class Watches:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._wakes = RunWakes(database)
        self._run_feeds = Feeds[RunId, RunFeed](lambda run: RunFeed(database, self._wakes, run))
        self._all_runs = Feeds[None, AllRuns](lambda _: AllRuns(database))

    async def run_details(self, request: pb.WatchRunDetailsRequest) -> AsyncIterator[pb.WatchRunDetailsResponse]:
        """Ends once it has sent the details of a run that is over. Raises NotFound."""
        async with closing(self._until_over(details.root_of(request.run_id), details.of_run)) as found:
            async for message in found:
                yield pb.WatchRunDetailsResponse(details=message)

    async def action_details(
        self, request: pb.WatchActionDetailsRequest
    ) -> AsyncIterator[pb.WatchActionDetailsResponse]:
        """Ends once it has sent the details of an action that is over. Raises NotFound."""
        async with closing(self._until_over(request.action_id, details.of_action)) as found:
            async for message in found:
                yield pb.WatchActionDetailsResponse(details=message)

    async def actions(self, request: pb.WatchActionsRequest) -> AsyncIterator[pb.WatchActionsResponse]:
        """All that match and all above those, at least one message, then what changes. Ends when the run is over
        and everything was sent. Raises InvalidArgument, NotFound.
        """
        wanted = requests.action_filter(request.filter)
        async with self._run_feeds.of(wire.run_id(request.run_id)) as feed:
            with feed.follower(wanted) as follower:
                first = True
                while first or not follower.done:
                    await follower.bell.wait()
                    changes = follower.view.take()
                    if first and not changes:
                        yield pb.WatchActionsResponse()
                    for start in range(0, len(changes), MAX_ACTIONS):
                        page = [wire.enriched(shown) for shown in changes[start : start + MAX_ACTIONS]]
                        yield pb.WatchActionsResponse(enriched_actions=page)
                    first = False

    async def runs(self, request: pb.WatchRunsRequest) -> AsyncIterator[pb.WatchRunsResponse]:
        """The first runs as lists show them, at least one message, then every run that is new or changes. One who
        falls far behind gets the first runs again. Never ends: there can always be another run.
        """
        within = requests.target(request)
        query = ListQuery(limit=FIRST_RUNS)
        async with self._all_runs.of(None) as feed:
            with feed.follower(lambda change: covers(within, change.run, change.task)) as follower:
                while True:
                    await follower.bell.wait()
                    changed = follower.take()
                    if changed is None:
                        page = await self._database.read(lambda tx: runs.list_page(tx, query, within=within))
                        yield _response(page.items)
                    elif changed:
                        yield _response(changed)

    async def groups(self, request: pb.WatchGroupsRequest) -> AsyncIterator[pb.WatchGroupsResponse]:
        """All groups, then those that change. Ends at once with an end date, never without. Raises InvalidArgument."""
        wanted = groups.wanted(request)
        if wanted.window.end is not None:
            async with closing(groups.once(self._database, wanted)) as messages:
                async for message in messages:
                    yield message
            return
        async with self._all_runs.of(None) as feed, closing(groups.followed(self._database, wanted, feed)) as messages:
            async for message in messages:
                yield message

    async def cluster_events(
        self, request: pb.WatchClusterEventsRequest
    ) -> AsyncIterator[pb.WatchClusterEventsResponse]:
        """What was said of the attempt, each once, as it happened. Ends when the action is over, or at the next
        attempt. Raises NotFound: no such action.
        """
        attempt, after = AttemptId(wire.action_id(request.id), request.attempt or 1), 0

        async def body(tx: Transaction) -> tuple[bool, Sequence[events.Said]]:
            found = await get(tx, attempt.action)
            over = found.phase.terminal or found.attempts > attempt.number
            return over, await events.said(tx, attempt, after=after)

        async with self._wakes.subscribe(attempt.action.run) as changes:
            while True:
                over, said = await self._database.read(body)
                if said:
                    after = said[-1].id
                    yield pb.WatchClusterEventsResponse(
                        cluster_events=[wire.cluster_event(each.change) for each in said]
                    )
                elif over:
                    return
                else:
                    await changes.wait()
                    await asyncio.sleep(COALESCE_SECONDS)

    async def _until_over(self, named: identifier_pb2.ActionIdentifier, describe: Describe[D]) -> AsyncGenerator[D]:
        """Of the action: the details as they are, and again whenever they change."""
        sent: Action | None = None
        wanted = wire.action_id(named)

        async def body(tx: Transaction) -> tuple[Action, D | None]:
            action = await get(tx, wanted)
            return action, None if action == sent else await describe(tx, action, named)

        async with self._wakes.subscribe(wanted.run) as changes:
            while sent is None or not sent.phase.terminal:
                sent, found = await self._database.read(body)
                if found is not None:
                    yield found
                if not sent.phase.terminal:
                    await changes.wait()
                    await asyncio.sleep(COALESCE_SECONDS)


def _response(listed: Sequence[Listed]) -> pb.WatchRunsResponse:
    return pb.WatchRunsResponse(runs=[wire.run(each.root, each.labels) for each in listed])
