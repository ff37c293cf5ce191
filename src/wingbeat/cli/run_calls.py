"""What the commands for runs ask of the API."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from flyteidl2.common import identifier_pb2, list_pb2, run_pb2
from flyteidl2.dataproxy import dataproxy_service_pb2
from flyteidl2.task import common_pb2
from flyteidl2.workflow import run_definition_pb2
from flyteidl2.workflow import run_service_pb2 as pb

from wingbeat.cli.client import Api, pages
from wingbeat.cli.target import Target
from wingbeat.core.action import ActionType, Phase
from wingbeat.core.ids import ROOT_ACTION
from wingbeat.core.value import Value
from wingbeat.errors import FailedPrecondition, NotFound
from wingbeat.rpc.streams import closing
from wingbeat.wire import values

NEWEST_FIRST = list_pb2.Sort(key="created_at", direction=list_pb2.Sort.DESCENDING)
OLDEST_FIRST = list_pb2.Sort(key="created_at", direction=list_pb2.Sort.ASCENDING)
"""New actions come last, whatever becomes of the others between two pages: none is missed."""

CALLS_AT_ONCE = 16


def run_id(target: Target, name: str) -> identifier_pb2.RunIdentifier:
    return identifier_pb2.RunIdentifier(project=target.project, domain=target.domain, name=name)


def action_id(target: Target, run: str, action: str) -> identifier_pb2.ActionIdentifier:
    return identifier_pb2.ActionIdentifier(run=run_id(target, run), name=action)


def only(field: str, *values: str) -> list[list_pb2.Filter]:
    """No filter when there is no value, or only an empty one."""
    wanted = [value for value in values if value]
    return [list_pb2.Filter(field=field, function=list_pb2.Filter.VALUE_IN, values=wanted)] if wanted else []


async def newest(
    api: Api, filters: Sequence[list_pb2.Filter], *, limit: int | None, paused: bool = False
) -> tuple[list[run_definition_pb2.Run], bool]:
    """The runs of the target, or those with a `paused` action, and whether `limit` left some out."""
    scope = identifier_pb2.ProjectIdentifier(name=api.target.project, domain=api.target.domain)

    async def fetch(page: list_pb2.ListRequest) -> tuple[Sequence[run_definition_pb2.Run], str]:
        answer = await api.runs.list_runs(
            pb.ListRunsRequest(request=page, project_id=scope, paused_actions_only=paused)
        )
        return answer.runs, answer.token

    return await pages(fetch, list_pb2.ListRequest(filters=filters, sort_by_fields=[NEWEST_FIRST]), limit=limit)


async def details(api: Api, run: str) -> run_definition_pb2.RunDetails:
    return (await api.runs.get_run_details(pb.GetRunDetailsRequest(run_id=run_id(api.target, run)))).details


async def action_details(api: Api, run: str, action: str) -> run_definition_pb2.ActionDetails:
    request = pb.GetActionDetailsRequest(action_id=action_id(api.target, run, action))
    return (await api.runs.get_action_details(request)).details


async def actions(api: Api, run: str) -> list[run_definition_pb2.Action]:
    """All of the run. Raises NotFound when there is no such run."""
    found = await _listed(api, run, [])
    if not found:
        await details(api, run)
        raise NotFound(f"run {run!r} has no actions")
    return found


async def conditions(api: Api, run: str, *, waiting: bool = False) -> list[run_definition_pb2.Action]:
    """Of the run, or those that are `waiting` for their value; none also when there is no such run."""
    of_type = only("action_type", str(ActionType.CONDITION.value))
    return await _listed(api, run, [*of_type, *only("phase", str(Phase.PAUSED.value) if waiting else "")])


async def asked(api: Api, waiting: Sequence[run_definition_pb2.Action]) -> dict[str, run_definition_pb2.ActionDetails]:
    """The details of conditions, with their prompts, by the names of their actions."""
    at_once = asyncio.Semaphore(CALLS_AT_ONCE)

    async def ask(condition: run_definition_pb2.Action) -> run_definition_pb2.ActionDetails:
        async with at_once:
            return await action_details(api, condition.id.run.name, condition.id.name)

    return {details.id.name: details for details in await asyncio.gather(*map(ask, waiting))}


async def signal(api: Api, condition: run_definition_pb2.Action, value: Value) -> None:
    request = pb.SignalEventRequest(
        action_id=condition.id, parent_action_name=condition.metadata.parent, payload=values.payload(value)
    )
    await api.runs.signal_event(request)


async def changes(api: Api, run: str) -> AsyncGenerator[list[run_definition_pb2.Action]]:
    """All actions of the run, then each that changes, until the run is over. Raises NotFound."""
    async with closing(api.runs.watch_actions(pb.WatchActionsRequest(run_id=run_id(api.target, run)))) as stream:
        async for message in stream:
            yield [each.action for each in message.enriched_actions]


async def abort(api: Api, run: str, action: str, *, reason: str) -> None:
    """The whole run when `action` is its first one. What is over already stays what it is."""
    if action == ROOT_ACTION:
        await api.runs.abort_run(pb.AbortRunRequest(run_id=run_id(api.target, run), reason=reason))
        return
    named = action_id(api.target, run, action)
    await api.runs.abort_action(pb.AbortActionRequest(action_id=named, reason=reason))


async def _listed(api: Api, run: str, filters: Sequence[list_pb2.Filter]) -> list[run_definition_pb2.Action]:
    async def fetch(page: list_pb2.ListRequest) -> tuple[Sequence[run_definition_pb2.Action], str]:
        answer = await api.runs.list_actions(pb.ListActionsRequest(request=page, run_id=run_id(api.target, run)))
        return answer.actions, answer.token

    found, _ = await pages(fetch, list_pb2.ListRequest(filters=filters, sort_by_fields=[OLDEST_FIRST]))
    return found


async def inputs(api: Api, run: str) -> common_pb2.Inputs | None:
    """Of its first action; None when they are too large for a message. Raises NotFound: they are no longer kept."""
    named = dataproxy_service_pb2.GetActionDataRequest(action_id=action_id(api.target, run, ROOT_ACTION))
    try:
        return (await api.data.get_action_data(named)).inputs
    except FailedPrecondition:
        return None


async def place_of_inputs(api: Api, run: str) -> run_pb2.OffloadedInputData:
    """Of its first action, for another run that reads them there."""
    named = pb.GetActionDataURIsRequest(action_id=action_id(api.target, run, ROOT_ACTION))
    uri = (await api.runs.get_action_data_u_r_is(named)).inputs_uri
    # What has been read nowhere is the same to the cache only where it is in the same place.
    return run_pb2.OffloadedInputData(uri=uri, inputs_hash=uri)
