"""`wingbeat trigger`: what fires and fired, and all that can be done with a trigger."""

import asyncio
import sys
from datetime import datetime, timedelta

import rich_click as click

from wingbeat.cli.backfills import backfill, backfills
from wingbeat.cli.options import on_server, with_output
from wingbeat.cli.target import Target
from wingbeat.cli.values import DURATION, INSTANT, PAIR, length_of, stamp

KINDS = ("schedule", "manual", "backfill")
OUTCOMES = ("fired", "skipped", "missed")
TRIGGER = click.argument("name", metavar="[TASK/]TRIGGER")


@click.group()
def trigger() -> None:
    """Look at triggers, preview and fire them, pause, backfill, compare and restore them.

    A trigger is named TASK/TRIGGER, or TRIGGER alone where only one task has one of that name. Moments are written
    2026-03-01T08:00:00Z, durations 90s, 15m, 1h30m.
    """


@trigger.command("list")
@click.option("--task", help="Only triggers of the task of this name, such as environment.function.")
@click.option(
    "--limit", type=click.IntRange(min=0), default=50, show_default=True, help="At most so many; 0 for all of them."
)
@on_server
@with_output
def list_(*, target: Target, task: str | None, limit: int, as_json: bool) -> None:
    """List triggers by task and name: when they fire next, what came of their last fire, why they are paused."""
    from wingbeat.cli.trigger_views import show_list

    asyncio.run(show_list(target, task=task, limit=limit or None, as_json=as_json))


@trigger.command()
@TRIGGER
@on_server
@with_output
def show(*, target: Target, name: str, as_json: bool) -> None:
    """Show a trigger in detail, its next and its last fires included."""
    from wingbeat.cli.trigger_views import show_trigger

    asyncio.run(show_trigger(target, name, as_json=as_json))


@trigger.command()
@click.argument("name", metavar="[TASK/]TRIGGER", required=False)
@click.option("--cron", help="A schedule that is not deployed: five fields, @daily, @every 1h30m.")
@click.option("--zone", default="", help="Its time zone, such as Europe/Berlin.  [default: UTC]")
@click.option(
    "--policy",
    "policies",
    type=PAIR,
    multiple=True,
    help="One of its policies, such as dst-gap=shift; several are allowed.",
)
@click.option("--count", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many slots.")
@click.option("--after", type=INSTANT, help="Only slots after this moment.  [default: now]")
@on_server
@with_output
def preview(
    *,
    target: Target,
    name: str | None,
    cron: str | None,
    zone: str,
    policies: tuple[tuple[str, str], ...],
    count: int,
    after: datetime | None,
    as_json: bool,
) -> None:
    """Show the next slots of a trigger or of a schedule, with what changes of the clock do to them."""
    from wingbeat._generated.automation.v1 import automation_pb2 as pb
    from wingbeat.cli.trigger_views import show_preview

    if (name is None) == (cron is None):
        raise click.UsageError("name a trigger, or give a schedule with --cron")
    if name is not None and (zone or policies):
        raise click.UsageError("--zone and --policy belong to --cron: a trigger has its own")
    wanted = pb.PreviewScheduleRequest(count=count, after=stamp(after))
    if cron is not None:
        wanted.schedule.schedule.cron.expression, wanted.schedule.schedule.cron.timezone = cron, zone
        wanted.schedule.policies.update({f"wingbeat/{key}": value for key, value in policies})
    asyncio.run(show_preview(target, name, wanted, as_json=as_json))


@trigger.command()
@TRIGGER
@click.option("--kind", "kinds", type=click.Choice(KINDS), multiple=True, help="Only these; several are allowed.")
@click.option(
    "--outcome", "outcomes", type=click.Choice(OUTCOMES), multiple=True, help="Only these; several are allowed."
)
@click.option("--since", type=INSTANT, help="Only what was decided at or after this moment.")
@click.option("--before", type=INSTANT, help="Only what was decided before this moment.")
@click.option(
    "--limit", type=click.IntRange(min=0), default=50, show_default=True, help="At most so many; 0 for all of them."
)
@on_server
@with_output
def fires(
    *,
    target: Target,
    name: str,
    kinds: tuple[str, ...],
    outcomes: tuple[str, ...],
    since: datetime | None,
    before: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """List what fired and what did not, and why, the newest first."""
    from wingbeat._generated.automation.v1 import automation_pb2 as pb
    from wingbeat.cli.trigger_views import show_fires

    wanted = pb.ListFiresRequest(
        kinds=[f"FIRE_KIND_{kind.upper()}" for kind in kinds],
        outcomes=[f"FIRE_OUTCOME_{outcome.upper()}" for outcome in outcomes],
        since=stamp(since),
        before=stamp(before),
    )
    asyncio.run(show_fires(target, name, wanted, limit=limit or None, as_json=as_json))


@trigger.command()
@TRIGGER
@click.option(
    "--input", "inputs", type=PAIR, multiple=True, help="An input in the place of the trigger's; several are allowed."
)
@click.option("--at", type=INSTANT, help="The time that the run is told it is for.  [default: now]")
@click.option("--dry-run", is_flag=True, help="Only show the inputs of the run.")
@on_server
@with_output
def fire(
    *,
    target: Target,
    name: str,
    inputs: tuple[tuple[str, str], ...],
    at: datetime | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Start a run of a trigger now."""
    from wingbeat._generated.automation.v1 import automation_pb2 as pb
    from wingbeat.cli.trigger_changes import fire as fire_now

    wanted = pb.FireTriggerRequest(run_start_time=stamp(at), dry_run=dry_run, source="RUN_SOURCE_CLI")
    asyncio.run(fire_now(target, name, inputs, wanted, as_json=as_json))


@trigger.command()
@TRIGGER
@click.option("--reason", default="", help="Shown to whoever wonders.")
@click.option("--until", type=INSTANT, help="Resume it at this moment.")
@click.option("--for", "length", type=DURATION, help="Resume it after this time.")
@on_server
@with_output
def pause(
    *, target: Target, name: str, reason: str, until: datetime | None, length: timedelta | None, as_json: bool
) -> None:
    """Stop a trigger from firing. The time of the pause is not caught up."""
    from wingbeat._generated.automation.v1 import automation_pb2 as pb
    from wingbeat.cli.trigger_changes import pause as pause_it
    from wingbeat.clock import system_clock

    if until is not None and length is not None:
        raise click.UsageError("--until and --for say the same: give one of them")
    end = until if length is None else system_clock() + length
    asyncio.run(pause_it(target, name, pb.PauseTriggerRequest(reason=reason, until=stamp(end)), as_json=as_json))


@trigger.command()
@TRIGGER
@on_server
@with_output
def resume(*, target: Target, name: str, as_json: bool) -> None:
    """Let a trigger fire again, from its next slot on."""
    from wingbeat.cli.trigger_changes import resume as resume_it

    asyncio.run(resume_it(target, name, as_json=as_json))


@trigger.command()
@TRIGGER
@click.option("--old", type=click.IntRange(min=1), help="A revision.  [default: the one before --new]")
@click.option("--new", type=click.IntRange(min=1), help="A revision.  [default: the latest]")
@click.option("--count", type=click.IntRange(1, 1000), default=5, show_default=True, help="How many slots of each.")
@on_server
@with_output
def diff(*, target: Target, name: str, old: int | None, new: int | None, count: int, as_json: bool) -> None:
    """Show what two revisions of a trigger differ in, and when each of them fires."""
    from wingbeat._generated.automation.v1 import automation_pb2 as pb
    from wingbeat.cli.trigger_views import show_diff

    asyncio.run(show_diff(target, name, pb.DiffRevisionsRequest(old=old, new=new, count=count), as_json=as_json))


@trigger.command()
@TRIGGER
@click.argument("revision", type=click.IntRange(min=1))
@click.option("--expect", type=click.IntRange(min=1), help="Refuse if this is not the latest revision any more.")
@on_server
@with_output
def rollback(*, target: Target, name: str, revision: int, expect: int | None, as_json: bool) -> None:
    """Deploy an old REVISION as a new one. A paused trigger stays paused."""
    from wingbeat._generated.automation.v1 import automation_pb2 as pb
    from wingbeat.cli.trigger_changes import roll_back

    wanted = pb.RollbackTriggerRequest(revision=revision, expected_revision=expect)
    asyncio.run(roll_back(target, name, wanted, as_json=as_json))


@trigger.command()
@click.option("--horizon", type=DURATION, default="24h", show_default=True, help="How far to look, at most 366 days.")
@click.option("--bucket", type=DURATION, default="1h", show_default=True, help="Runs are counted in such stretches.")
@click.option("--begin", type=INSTANT, help="From when on.  [default: now]")
@click.option("--everywhere", is_flag=True, help="All projects and domains.")
@on_server
@with_output
def forecast(
    *,
    target: Target,
    horizon: timedelta,
    bucket: timedelta,
    begin: datetime | None,
    everywhere: bool,
    as_json: bool,
) -> None:
    """Count the runs that triggers will start."""
    from wingbeat._generated.automation.v1 import automation_pb2 as pb
    from wingbeat.cli.trigger_changes import show_forecast

    wanted = pb.ForecastLoadRequest(horizon=length_of(horizon), bucket=length_of(bucket), begin=stamp(begin))
    asyncio.run(show_forecast(target, wanted, everywhere=everywhere, as_json=as_json))


@trigger.command()
@click.option("--max-lag", type=DURATION, default="1m", show_default=True, help="How late a slot may be.")
@on_server
@with_output
def health(*, target: Target, max_lag: timedelta, as_json: bool) -> None:
    """Show whether triggers fire when they should.

    Exits with 1 when a slot is overdue by more than --max-lag or a trigger fails, and with 0 otherwise.
    """
    from wingbeat.cli.trigger_changes import show_health

    sys.exit(0 if asyncio.run(show_health(target, max_lag=max_lag, as_json=as_json)) else 1)


trigger.add_command(backfill)
trigger.add_command(backfills)
