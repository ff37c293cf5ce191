"""What `wingbeat trigger` shows of triggers."""

from collections.abc import Iterable, Iterator

import rich_click as click
from flyteidl2.common import identifier_pb2, list_pb2

from wingbeat._generated.automation.v1 import automation_pb2 as pb
from wingbeat.cli import output, plain, trigger_calls, trigger_reading
from wingbeat.cli.client import Api, connected
from wingbeat.cli.run_calls import only
from wingbeat.cli.target import Target
from wingbeat.cli.trigger_documents import (
    DiffShown,
    FireList,
    FireShown,
    PreviewShown,
    SlotShown,
    TriggerList,
    TriggerShown,
    TriggerSummary,
)

LAST_FIRES = 10
SHOWN_FIRES = 5
SHOWN_SLOTS = 5
PRUNED = "pruned"
"""In the place of the phase of a run that is not kept any more."""


async def show_list(target: Target, *, task: str | None, limit: int | None, as_json: bool) -> None:
    filters: list[list_pb2.Filter] = only("task_name", task or "")
    async with connected(target) as api:
        found, more = await trigger_calls.triggers(api, filters, limit=limit)
        states = await trigger_calls.states(api, [each.id.name for each in found], fires=LAST_FIRES)
    automation = {_key(each.id.name): each.automation_spec for each in found}
    summaries = tuple(trigger_reading.summary(state, automation[_key(state.name)]) for state in states)
    if as_json:
        output.print_json(TriggerList(summaries, more))
        return
    if not summaries:
        click.echo(f"no such triggers in {target.scope}", err=True)
        return
    output.print_table(("TASK", "NAME", "SCHEDULE", "STATE", "NEXT FIRE", "LAST FIRE"), map(_row, summaries))
    if more:
        click.echo("there are more: --limit shows them", err=True)


async def show_trigger(target: Target, typed: str, *, as_json: bool) -> None:
    async with connected(target) as api:
        shown = await read(api, await trigger_calls.named(api, typed))
    print_trigger(shown, as_json=as_json)


async def read(api: Api, name: identifier_pb2.TriggerName) -> TriggerShown:
    """Raises NotFound."""
    details = await trigger_calls.details(api, name)
    (state,) = await trigger_calls.states(api, [name], fires=SHOWN_FIRES)
    slots = (await trigger_calls.preview(api, name, count=SHOWN_SLOTS)).slots if state.active else ()
    return trigger_reading.shown(state, details, slots)


def print_trigger(shown: TriggerShown, *, as_json: bool) -> None:
    if as_json:
        output.print_json(shown)
        return
    output.print_facts(_facts(shown))
    if shown.next_slots:
        click.echo()
        output.print_table(("NEXT FIRES", "LOCALLY", "NOTE"), _slot_rows(shown.next_slots))
    if shown.trigger.fires:
        click.echo()
        _print_fires(shown.trigger.fires)


async def show_preview(target: Target, typed: str | None, wanted: pb.PreviewScheduleRequest, *, as_json: bool) -> None:
    """Of the trigger that is typed, or of the schedule in `wanted`."""
    async with connected(target) as api:
        if typed is not None:
            wanted.trigger.CopyFrom(await trigger_calls.named(api, typed))
        shown = trigger_reading.preview(await api.automation.preview_schedule(wanted))
    if as_json:
        output.print_json(shown)
    else:
        _print_preview(shown)


async def show_fires(
    target: Target, typed: str, wanted: pb.ListFiresRequest, *, limit: int | None, as_json: bool
) -> None:
    async with connected(target) as api:
        wanted.name.CopyFrom(await trigger_calls.named(api, typed))
        found, more = await trigger_calls.fires(api, wanted, limit=limit)
    fires = FireList(tuple(trigger_reading.fire(each) for each in found), more)
    if as_json:
        output.print_json(fires)
        return
    if not fires.fires:
        click.echo("no such fires", err=True)
        return
    _print_fires(fires.fires)
    if more:
        click.echo("there are more: --limit shows them", err=True)


async def show_diff(target: Target, typed: str, wanted: pb.DiffRevisionsRequest, *, as_json: bool) -> None:
    async with connected(target) as api:
        wanted.name.CopyFrom(await trigger_calls.named(api, typed))
        shown = trigger_reading.diff(await api.automation.diff_revisions(wanted))
    if as_json:
        output.print_json(shown)
        return
    if not shown.changes:
        click.echo(f"revisions {shown.old} and {shown.new} are the same")
        return
    rows = ((each.field, each.before, each.after) for each in shown.changes)
    output.print_table(("FIELD", f"REVISION {shown.old}", f"REVISION {shown.new}"), rows)
    click.echo()
    output.print_table((f"{shown.old} FIRES", f"{shown.new} FIRES"), _beside(shown))


def state_words(trigger: TriggerSummary) -> str:
    """Whether it fires, and if not, why."""
    if trigger.failures:
        return f"failing: {trigger.error}"
    if trigger.active:
        return "active"
    if trigger.pause is None:
        return "inactive"
    until = f" until {plain.moment(trigger.pause.until)}" if trigger.pause.until else ""
    reason = f": {trigger.pause.reason}" if trigger.pause.reason else ""
    return f"paused{until}{reason}"


def _print_preview(shown: PreviewShown) -> None:
    if not shown.slots:
        click.echo("it never fires", err=True)
        return
    output.print_table(("UTC", f"IN {shown.timezone}", "NOTE"), _slot_rows(shown.slots, utc=True))
    if shown.inactive:
        click.echo("it is paused: none of them fires before it is resumed", err=True)


def _print_fires(fires: Iterable[FireShown]) -> None:
    output.print_table(("SLOT", "KIND", "OUTCOME", "RUN", "PHASE", "LAG", "DECIDED", "REASON"), map(_fire_row, fires))


def _row(trigger: TriggerSummary) -> tuple[str, ...]:
    last = trigger.fires[0] if trigger.fires else None
    return (
        trigger.task,
        trigger.name,
        trigger.schedule,
        state_words(trigger),
        plain.moment(trigger.next_fire_at),
        (last.phase or (PRUNED if last.run else last.outcome)) if last else "",
    )


def _facts(shown: TriggerShown) -> Iterator[tuple[str, str]]:
    trigger = shown.trigger
    yield "name", trigger.name
    yield "task", f"{trigger.task} {shown.task_version}"
    yield "project", f"{trigger.project}/{trigger.domain}"
    yield "schedule", trigger.schedule or "none"
    yield "state", state_words(trigger)
    yield "paused by", trigger.pause.paused_by if trigger.pause else ""
    yield "next fire", plain.moment(trigger.next_fire_at)
    yield "last fire", plain.moment(shown.triggered_at)
    yield "revision", f"{trigger.revision} of {plain.moment(shown.updated_at)}"
    yield "description", shown.description


def _slot_rows(slots: Iterable[SlotShown], *, utc: bool = False) -> Iterator[tuple[str, ...]]:
    for slot in slots:
        yield (f"{slot.at:%Y-%m-%d %H:%M:%S}" if utc else plain.moment(slot.at)), slot.local, slot.note


def _fire_row(fire: FireShown) -> tuple[str, ...]:
    slots = plain.moment(fire.first_slot)
    if fire.count > 1:
        slots = f"{slots} to {plain.moment(fire.last_slot)} ({fire.count})"
    return (
        slots,
        fire.kind,
        fire.outcome,
        fire.run or "",
        fire.phase or (PRUNED if fire.run else ""),
        plain.duration(fire.lag_seconds),
        plain.moment(fire.decided_at),
        fire.reason,
    )


def _beside(shown: DiffShown) -> Iterator[tuple[str, str]]:
    for number in range(max(len(shown.old_slots), len(shown.new_slots))):
        sides = (shown.old_slots[number : number + 1], shown.new_slots[number : number + 1])
        old, new = (side[0].local if side else "" for side in sides)
        yield old, new


def _key(name: identifier_pb2.TriggerName) -> tuple[str, str]:
    return name.task_name, name.name
