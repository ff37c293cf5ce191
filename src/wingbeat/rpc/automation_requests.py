"""What requests of wingbeat.automation.v1 ask for."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from connectrpc.request import RequestContext
from flyteidl2.workflow import run_definition_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from wingbeat._generated.automation.v1 import automation_pb2 as pb
from wingbeat.core import backfill
from wingbeat.core.forecast import Horizon
from wingbeat.core.ids import Scope
from wingbeat.errors import InvalidArgument
from wingbeat.operations.planning import DEFAULT_SOURCE
from wingbeat.operations.runs import RunRequest
from wingbeat.rpc.identity import Caller
from wingbeat.rpc.run_service.requests import request_id
from wingbeat.store.fire_lists import Wanted
from wingbeat.store.fires import FireKind, Outcome
from wingbeat.wire import times, triggers

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
DEFAULT_RUNNING = 1
"""Runs of a backfill at a time."""


def maybe_moment(request: Message, field: str) -> datetime | None:
    """Raises InvalidArgument, naming the field."""
    return moment(request, field) if request.HasField(field) else None


def moment(request: Message, field: str) -> datetime:
    """Raises InvalidArgument, naming the field."""
    try:
        return times.from_proto(getattr(request, field))
    except InvalidArgument as error:
        raise InvalidArgument(f"{field}: {error}") from error


def wanted_fires(request: pb.ListFiresRequest) -> Wanted:
    since, before = maybe_moment(request, "since"), maybe_moment(request, "before")
    if since is not None and before is not None and since >= before:
        raise InvalidArgument(f"before is {before.isoformat()}: it must be later than since, {since.isoformat()}")
    return Wanted(
        outcomes=[Outcome[pb.FireOutcome.Name(each).removeprefix("FIRE_OUTCOME_")] for each in request.outcomes],
        kinds=_kinds(request.kinds),
        since=since,
        before=before,
    )


def run_request(request: pb.FireTriggerRequest, ctx: RequestContext[Any, Any], *, caller: Caller) -> RunRequest:
    name = triggers.name_from_proto(request.name)
    return RunRequest(
        scope=Scope(name.project, name.domain),
        wanted=name,
        inputs=request.inputs.SerializeToString() if request.HasField("inputs") else None,
        run_start_time=maybe_moment(request, "run_start_time"),
        source=run_definition_pb2.RunSource.Name(request.source) if request.source else DEFAULT_SOURCE,
        caller=caller.subject,
        request_id=request_id(ctx.request_headers()),
    )


def wanted_backfill(request: pb.BackfillTriggerRequest) -> backfill.Wanted:
    """Raises InvalidArgument, naming the field."""
    return backfill.Wanted(
        begin=moment(request, "begin"),
        end=moment(request, "end"),
        again=request.again,
        max_running=request.max_running or DEFAULT_RUNNING,
    )


def backfill_states(states: Sequence[pb.BackfillState]) -> list[backfill.BackfillState]:
    names = [pb.BackfillState.Name(state).removeprefix("BACKFILL_STATE_") for state in states]
    return [backfill.BackfillState[name] for name in names]


def horizon(request: pb.ForecastLoadRequest, now: datetime) -> Horizon:
    """Raises InvalidArgument, naming the field."""
    length = _length(request.horizon) if request.HasField("horizon") else DAY
    bucket = _length(request.bucket) if request.HasField("bucket") else HOUR
    return Horizon(maybe_moment(request, "begin") or now, length, bucket)


def _length(duration: Duration) -> timedelta:
    try:
        return duration.ToTimedelta()
    except (ValueError, OverflowError) as error:
        raise InvalidArgument(f"a duration is none: {error}") from error


def _kinds(kinds: Sequence[pb.FireKind]) -> list[FireKind]:
    """Kinds that nothing fires yet match nothing, so a filter of them alone is refused."""
    names = [pb.FireKind.Name(kind).removeprefix("FIRE_KIND_") for kind in kinds]
    unknown = [name.lower() for name in names if name not in FireKind.__members__]
    if unknown:
        raise InvalidArgument(f"kinds: nothing fires by {', '.join(unknown)} yet")
    return [FireKind[name] for name in names]
