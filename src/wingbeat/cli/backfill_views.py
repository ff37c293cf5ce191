"""What the commands for backfills do and show."""

from collections.abc import Sequence
from datetime import UTC
from typing import Literal

import rich_click as click
from flyteidl2.common import list_pb2

from wingbeat._generated.automation.v1 import automation_pb2 as pb
from wingbeat.cli import output, plain, trigger_calls, trigger_reading
from wingbeat.cli.client import connected, pages
from wingbeat.cli.target import Target
from wingbeat.cli.trigger_documents import BackfillList, BackfillPlan, BackfillShown, SlotShown

FIRST, LAST = 10, 5
"""Of a long list, so many slots are shown."""

Change = Literal["pause", "resume", "cancel"]


async def backfill(target: Target, typed: str, wanted: pb.BackfillTriggerRequest, *, ask: bool, as_json: bool) -> None:
    """Says what would start, asks, and starts it."""
    async with connected(target) as api:
        wanted.name.CopyFrom(await trigger_calls.named(api, typed))
        dry, wanted.dry_run = wanted.dry_run, True
        answer = await api.automation.backfill_trigger(wanted)
        if not as_json:
            _print_plan(trigger_reading.slots(answer.slots), answer.left_out)
        if not dry and answer.slots:
            if ask:
                click.confirm(f"Start {len(answer.slots)} runs, {wanted.max_running} at a time?", abort=True, err=True)
            wanted.dry_run = False
            answer = await api.automation.backfill_trigger(wanted)
    started = shown(answer.backfill) if answer.HasField("backfill") else None
    if as_json:
        output.print_json(BackfillPlan(started, trigger_reading.slots(answer.slots), answer.left_out))
    elif started:
        click.echo(f"started backfill {started.id}; see it with: wingbeat trigger backfills show {started.id}")


async def show_list(
    target: Target, typed: str | None, *, states: Sequence[str], limit: int | None, as_json: bool
) -> None:
    wanted = pb.ListBackfillsRequest(states=[f"BACKFILL_STATE_{state.upper()}" for state in states])
    async with connected(target) as api:
        if typed is not None:
            wanted.name.CopyFrom(await trigger_calls.named(api, typed))

        async def fetch(page: list_pb2.ListRequest) -> tuple[Sequence[pb.Backfill], str]:
            wanted.limit, wanted.token = page.limit, page.token
            answer = await api.automation.list_backfills(wanted)
            return answer.backfills, answer.token

        found, more = await pages(fetch, list_pb2.ListRequest(), limit=limit)
    backfills = BackfillList(tuple(map(shown, found)), more)
    if as_json:
        output.print_json(backfills)
        return
    if not backfills.backfills:
        click.echo("no such backfills", err=True)
        return
    columns = ("ID", "TASK", "TRIGGER", "STATE", "SLOTS", "STARTED", "RUNNING", "CREATED")
    output.print_table(columns, map(_row, backfills.backfills))
    if more:
        click.echo("there are more: --limit shows them", err=True)


async def show(target: Target, backfill_id: str, *, as_json: bool) -> None:
    async with connected(target) as api:
        found = (await api.automation.get_backfill(pb.GetBackfillRequest(id=backfill_id))).backfill
    _print(shown(found), as_json=as_json)


async def change(target: Target, backfill_id: str, wanted: Change, *, as_json: bool) -> None:
    async with connected(target) as api:
        match wanted:
            case "pause":
                found = (await api.automation.pause_backfill(pb.PauseBackfillRequest(id=backfill_id))).backfill
            case "resume":
                found = (await api.automation.resume_backfill(pb.ResumeBackfillRequest(id=backfill_id))).backfill
            case "cancel":
                found = (await api.automation.cancel_backfill(pb.CancelBackfillRequest(id=backfill_id))).backfill
    _print(shown(found), as_json=as_json)


def shown(found: pb.Backfill) -> BackfillShown:
    return BackfillShown(
        id=found.id,
        name=found.name.name,
        task=found.name.task_name,
        project=found.name.project,
        domain=found.name.domain,
        revision=found.revision,
        begin=found.begin.ToDatetime(UTC),
        end=found.end.ToDatetime(UTC),
        again=found.again,
        max_running=found.max_running,
        state=pb.BackfillState.Name(found.state).removeprefix("BACKFILL_STATE_"),
        reason=found.reason,
        slots=found.slots,
        started=found.started,
        left_out=found.left_out,
        missed=found.missed,
        running=found.running,
        created_by=found.created_by,
        created_at=found.created_at.ToDatetime(UTC),
        ended_at=trigger_reading.moment(found.ended_at),
    )


def _print_plan(slots: Sequence[SlotShown], left_out: int) -> None:
    rows = [(slot.local, slot.note) for slot in slots]
    if len(rows) > FIRST + LAST:
        rows = [*rows[:FIRST], (f"... {len(rows) - FIRST - LAST} more ...", ""), *rows[-LAST:]]
    if rows:
        output.print_table(("SLOT", "NOTE"), rows)
    click.echo(f"{len(slots)} slots to start, {left_out} left out: fired already, or about to be")


def _print(found: BackfillShown, *, as_json: bool) -> None:
    if as_json:
        output.print_json(found)
    else:
        output.print_facts(
            (
                ("id", found.id),
                ("trigger", f"{found.task}/{found.name}, revision {found.revision}"),
                ("state", found.state),
                ("reason", found.reason),
                ("from", plain.moment(found.begin)),
                ("until before", plain.moment(found.end)),
                ("slots", str(found.slots)),
                ("started", str(found.started)),
                ("running", f"{found.running}, at most {found.max_running}"),
                ("left out", str(found.left_out)),
                ("missed", str(found.missed)),
                ("created", f"{plain.moment(found.created_at)} {found.created_by}".rstrip()),
                ("ended", plain.moment(found.ended_at)),
            )
        )


def _row(found: BackfillShown) -> tuple[str, ...]:
    return (
        found.id,
        found.task,
        found.name,
        found.state,
        str(found.slots),
        str(found.started),
        str(found.running),
        plain.moment(found.created_at),
    )
