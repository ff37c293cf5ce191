"""wingbeat.automation.v1.AutomationService: what the Flyte API has no words for."""

import asyncio
import secrets
from typing import Any

from connectrpc.request import RequestContext

from wingbeat._generated.automation.v1 import automation_pb2 as pb
from wingbeat._generated.automation.v1.automation_connect import AutomationService
from wingbeat.core.backfill import BackfillState
from wingbeat.core.forecast import Horizon, forecast
from wingbeat.core.ids import Scope, TriggerName, generated_backfill_id, generated_name
from wingbeat.core.listing import DEFAULT_LIMIT, Page
from wingbeat.core.project import Domains
from wingbeat.core.run import Run
from wingbeat.core.trigger import Firing
from wingbeat.operations import automation, backfills, pauses, triggers
from wingbeat.operations.automation import Preview, State
from wingbeat.operations.backfills import Shown
from wingbeat.operations.planning import RunDefaults
from wingbeat.rpc import automation_answers as answers
from wingbeat.rpc import automation_requests as requests
from wingbeat.rpc.identity import Identify, nobody
from wingbeat.store import backfills as stored_backfills
from wingbeat.store import fire_lists, nodes, timetables
from wingbeat.store.database import Database, Transaction
from wingbeat.store.fire_lists import Entry
from wingbeat.wire import automation as wire
from wingbeat.wire import triggers as wire_triggers

Context = RequestContext[Any, Any]

DEFAULT_SLOTS = 10
MOST_FAILING = 50


class Automation(AutomationService):
    def __init__(
        self, database: Database, domains: Domains, defaults: RunDefaults, *, identify: Identify = nobody
    ) -> None:
        self._database = database
        self._domains = domains
        self._defaults = defaults
        self._identify = identify

    async def preview_schedule(self, request: pb.PreviewScheduleRequest, ctx: Context) -> pb.PreviewScheduleResponse:
        after, n = requests.maybe_moment(request, "after"), request.count or DEFAULT_SLOTS
        name = wire_triggers.name_from_proto(request.trigger)
        inline = wire.inline_schedule(request.schedule) if request.HasField("schedule") else None

        async def body(tx: Transaction) -> Preview:
            if inline is None:
                return await automation.preview_trigger(tx, name, after=after, n=n)
            return await automation.preview_inline(tx, inline, after=after, n=n)

        return answers.previewed(await self._database.read(body))

    async def get_trigger_states(
        self, request: pb.GetTriggerStatesRequest, ctx: Context
    ) -> pb.GetTriggerStatesResponse:
        names = [wire_triggers.name_from_proto(name) for name in request.names]
        found = await self._database.read(lambda tx: automation.states(tx, names, last_fires=request.fires))
        return pb.GetTriggerStatesResponse(states=[answers.state(state) for state in found])

    async def list_fires(self, request: pb.ListFiresRequest, ctx: Context) -> pb.ListFiresResponse:
        name, wanted = wire_triggers.name_from_proto(request.name), requests.wanted_fires(request)

        async def body(tx: Transaction) -> Page[Entry]:
            trigger = await triggers.get(tx, name, deleted=True)
            return await fire_lists.page(
                tx, trigger.id, wanted, limit=request.limit or DEFAULT_LIMIT, token=request.token
            )

        page = await self._database.read(body)
        return pb.ListFiresResponse(fires=[answers.fire(entry) for entry in page.items], token=page.next_token)

    async def fire_trigger(self, request: pb.FireTriggerRequest, ctx: Context) -> pb.FireTriggerResponse:
        name = wire_triggers.name_from_proto(request.name)
        wanted = requests.run_request(request, ctx, caller=self._identify(ctx))
        fresh_name = generated_name(secrets.token_bytes(19))

        async def start(tx: Transaction) -> Run:
            return await automation.fire(
                tx, name, wanted, defaults=self._defaults, domains=self._domains, fresh_name=fresh_name
            )

        async def render(tx: Transaction) -> Run:
            return await automation.render(tx, name, wanted, defaults=self._defaults, domains=self._domains)

        run = await (self._database.read(render) if request.dry_run else self._database.write(start))
        return answers.fired(run, dry=request.dry_run)

    async def pause_trigger(self, request: pb.PauseTriggerRequest, ctx: Context) -> pb.PauseTriggerResponse:
        name, until = wire_triggers.name_from_proto(request.name), requests.maybe_moment(request, "until")
        by = self._identify(ctx).subject

        async def body(tx: Transaction) -> State:
            await pauses.pause(tx, name, reason=request.reason, until=until, by=by)
            return await _state(tx, name)

        return pb.PauseTriggerResponse(state=answers.state(await self._database.write(body)))

    async def resume_trigger(self, request: pb.ResumeTriggerRequest, ctx: Context) -> pb.ResumeTriggerResponse:
        name, by = wire_triggers.name_from_proto(request.name), self._identify(ctx).subject

        async def body(tx: Transaction) -> State:
            await pauses.resume(tx, name, by=by, domains=self._domains)
            return await _state(tx, name)

        return pb.ResumeTriggerResponse(state=answers.state(await self._database.write(body)))

    async def diff_revisions(self, request: pb.DiffRevisionsRequest, ctx: Context) -> pb.DiffRevisionsResponse:
        name, n = wire_triggers.name_from_proto(request.name), request.count or DEFAULT_SLOTS
        found = await self._database.read(lambda tx: automation.diff(tx, name, old=request.old, new=request.new, n=n))
        return answers.diff(found)

    async def rollback_trigger(self, request: pb.RollbackTriggerRequest, ctx: Context) -> pb.RollbackTriggerResponse:
        name, by = wire_triggers.name_from_proto(request.name), self._identify(ctx).subject

        async def body(tx: Transaction) -> State:
            await automation.roll_back(
                tx,
                name,
                request.revision,
                expected_revision=request.expected_revision,
                by=by,
                domains=self._domains,
            )
            return await _state(tx, name)

        return pb.RollbackTriggerResponse(state=answers.state(await self._database.write(body)))

    async def forecast_load(self, request: pb.ForecastLoadRequest, ctx: Context) -> pb.ForecastLoadResponse:
        project = request.project_id
        scope = Scope(project.name, project.domain) if request.HasField("project_id") else None

        async def body(tx: Transaction) -> tuple[Horizon, list[tuple[TriggerName, Firing]]]:
            return requests.horizon(request, tx.now), await automation.going(tx, scope)

        horizon, going = await self._database.read(body)
        found = await asyncio.to_thread(forecast, going, horizon)
        return answers.forecast(found)

    async def get_scheduler_health(
        self, request: pb.GetSchedulerHealthRequest, ctx: Context
    ) -> pb.GetSchedulerHealthResponse:
        async def body(tx: Transaction) -> pb.GetSchedulerHealthResponse:
            return answers.health(
                await timetables.lateness(tx),
                await timetables.failing(tx, MOST_FAILING),
                await nodes.others(tx, ""),
                active=await timetables.active(tx),
                now=tx.now,
            )

        return await self._database.read(body)

    async def backfill_trigger(self, request: pb.BackfillTriggerRequest, ctx: Context) -> pb.BackfillTriggerResponse:
        name, wanted = wire_triggers.name_from_proto(request.name), requests.wanted_backfill(request)
        backfill_id, by = generated_backfill_id(secrets.token_bytes(19)), self._identify(ctx).subject

        async def start(tx: Transaction) -> pb.BackfillTriggerResponse:
            started, plan = await backfills.start(
                tx, name, wanted, backfill_id=backfill_id, by=by, domains=self._domains
            )
            return answers.planned(plan, Shown(started, name, running=0))

        async def plan(tx: Transaction) -> pb.BackfillTriggerResponse:
            return answers.planned(await backfills.plan(tx, name, wanted, domains=self._domains), None)

        return await (self._database.read(plan) if request.dry_run else self._database.write(start))

    async def get_backfill(self, request: pb.GetBackfillRequest, ctx: Context) -> pb.GetBackfillResponse:
        found = await self._database.read(lambda tx: backfills.get(tx, request.id))
        return pb.GetBackfillResponse(backfill=answers.backfill(found))

    async def list_backfills(self, request: pb.ListBackfillsRequest, ctx: Context) -> pb.ListBackfillsResponse:
        states, limit = requests.backfill_states(request.states), request.limit or DEFAULT_LIMIT
        name = wire_triggers.name_from_proto(request.name) if request.HasField("name") else None

        async def body(tx: Transaction) -> Page[Shown]:
            trigger_id = None if name is None else (await triggers.get(tx, name, deleted=True)).id
            page = await stored_backfills.page(tx, trigger_id, states, limit=limit, token=request.token)
            return Page(await backfills.shown(tx, page.items), page.next_token)

        page = await self._database.read(body)
        return pb.ListBackfillsResponse(
            backfills=[answers.backfill(each) for each in page.items], token=page.next_token
        )

    async def pause_backfill(self, request: pb.PauseBackfillRequest, ctx: Context) -> pb.PauseBackfillResponse:
        return pb.PauseBackfillResponse(backfill=await self._change(request.id, BackfillState.PAUSED))

    async def resume_backfill(self, request: pb.ResumeBackfillRequest, ctx: Context) -> pb.ResumeBackfillResponse:
        return pb.ResumeBackfillResponse(backfill=await self._change(request.id, BackfillState.RUNNING))

    async def cancel_backfill(self, request: pb.CancelBackfillRequest, ctx: Context) -> pb.CancelBackfillResponse:
        return pb.CancelBackfillResponse(backfill=await self._change(request.id, BackfillState.CANCELLED))

    async def _change(self, backfill_id: str, state: BackfillState) -> pb.Backfill:
        return answers.backfill(
            await self._database.write(lambda tx: backfills.change(tx, backfill_id, state, domains=self._domains))
        )


async def _state(tx: Transaction, name: TriggerName) -> State:
    (state,) = await automation.states(tx, [name], last_fires=0)
    return state
