"""wingbeat.retention.v1.RetentionService: prune runs by hand."""

from typing import Any

import structlog
from connectrpc.request import RequestContext
from flyteidl2.common import identifier_pb2

from wingbeat._generated.retention.v1 import retention_pb2 as pb
from wingbeat._generated.retention.v1.retention_connect import RetentionService
from wingbeat.errors import InvalidArgument
from wingbeat.operations import pruning
from wingbeat.operations.pruning import Order, Step
from wingbeat.rpc.identity import Identify, nobody
from wingbeat.store.database import Database
from wingbeat.wire import retention as wire

Context = RequestContext[Any, Any]

RUNS = 100
"""In one step; each may have thousands of actions."""
MOST_WAITING = 10_000

log = structlog.get_logger(__name__)


class Retention(RetentionService):
    def __init__(self, database: Database, *, identify: Identify = nobody) -> None:
        self._database = database
        self._identify = identify

    async def prune_runs(self, request: pb.PruneRunsRequest, ctx: Context) -> pb.PruneRunsResponse:
        order, place = _order(request), wire.place(request.token)
        pruning.check(order)
        if request.dry_run:
            return _answer(await self._database.read(lambda tx: pruning.preview(tx, order, place, limit=RUNS)))
        step = await self._database.write(lambda tx: pruning.step(tx, order, place, limit=RUNS))
        if step.runs:
            log.info("runs pruned", count=len(step.runs), by=self._identify(ctx).subject)
        return _answer(step)

    async def get_removals(self, request: pb.GetRemovalsRequest, ctx: Context) -> pb.GetRemovalsResponse:
        waiting = await self._database.read(lambda tx: pruning.waiting(tx, most=MOST_WAITING))
        return pb.GetRemovalsResponse(runs=waiting)


def _order(request: pb.PruneRunsRequest) -> Order:
    try:
        older_than = request.older_than.ToTimedelta()
    except (ValueError, OverflowError):
        raise InvalidArgument("older_than is no length of time that anything can be older than") from None
    return Order(older_than, project=request.project, domain=request.domain)


def _answer(step: Step) -> pb.PruneRunsResponse:
    return pb.PruneRunsResponse(
        runs=[identifier_pb2.RunIdentifier(project=run.project, domain=run.domain, name=run.name) for run in step.runs],
        actions=step.actions,
        kept=[
            pb.KeptRuns(reason=f"KEPT_REASON_{reason.name}", runs=number)
            for reason, number in sorted(step.kept.items())
        ],
        token=wire.token(step.reached),
    )
