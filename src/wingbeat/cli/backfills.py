"""`wingbeat trigger backfill` and `backfills`: runs for slots of the past."""

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING

import rich_click as click

from wingbeat.cli.options import on_server, with_output
from wingbeat.cli.target import Target
from wingbeat.cli.values import INSTANT, stamp

if TYPE_CHECKING:
    from wingbeat.cli.backfill_views import Change

STATES = ("running", "paused", "done", "cancelled")
BACKFILL = click.argument("backfill_id", metavar="BACKFILL")


@click.command()
@click.argument("name", metavar="[TASK/]TRIGGER")
@click.option("--begin", type=INSTANT, required=True, help="Slots at or after this moment.")
@click.option("--end", type=INSTANT, required=True, help="Slots before this moment, which must be past.")
@click.option("--again", is_flag=True, help="Also slots that have fired already.")
@click.option(
    "--max-running", type=click.IntRange(1, 1000), default=1, show_default=True, help="Runs at a time, at most."
)
@click.option("--dry-run", is_flag=True, help="Only show the slots.")
@click.option("--yes", is_flag=True, help="Do not ask before it starts.")
@on_server
@with_output
def backfill(
    *,
    target: Target,
    name: str,
    begin: datetime,
    end: datetime,
    again: bool,
    max_running: int,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Start runs for slots of the past.

    Shows what would start and asks first. The server goes on with it, through restarts, however long it takes; see
    `wingbeat trigger backfills`.
    """
    from wingbeat._generated.automation.v1 import automation_pb2 as pb
    from wingbeat.cli import backfill_views

    wanted = pb.BackfillTriggerRequest(
        begin=stamp(begin), end=stamp(end), again=again, max_running=max_running, dry_run=dry_run
    )
    asyncio.run(backfill_views.backfill(target, name, wanted, ask=not yes, as_json=as_json))


@click.group()
def backfills() -> None:
    """Look at backfills, pause, resume and cancel them."""


@backfills.command("list")
@click.argument("name", metavar="[TASK/]TRIGGER", required=False)
@click.option("--state", "states", type=click.Choice(STATES), multiple=True, help="Only these; several are allowed.")
@click.option(
    "--limit", type=click.IntRange(min=0), default=50, show_default=True, help="At most so many; 0 for all of them."
)
@on_server
@with_output
def list_(*, target: Target, name: str | None, states: tuple[str, ...], limit: int, as_json: bool) -> None:
    """List the backfills of a trigger, or all that there are, the newest first."""
    from wingbeat.cli.backfill_views import show_list

    asyncio.run(show_list(target, name, states=states, limit=limit or None, as_json=as_json))


@backfills.command()
@BACKFILL
@on_server
@with_output
def show(*, target: Target, backfill_id: str, as_json: bool) -> None:
    """Show how far a backfill is."""
    from wingbeat.cli import backfill_views

    asyncio.run(backfill_views.show(target, backfill_id, as_json=as_json))


@backfills.command()
@BACKFILL
@on_server
@with_output
def pause(*, target: Target, backfill_id: str, as_json: bool) -> None:
    """Start no more runs for now. Those that work go on."""
    _change(target, backfill_id, "pause", as_json=as_json)


@backfills.command()
@BACKFILL
@on_server
@with_output
def resume(*, target: Target, backfill_id: str, as_json: bool) -> None:
    """Go on with a backfill that was paused."""
    _change(target, backfill_id, "resume", as_json=as_json)


@backfills.command()
@BACKFILL
@on_server
@with_output
def cancel(*, target: Target, backfill_id: str, as_json: bool) -> None:
    """Start no more runs, for ever. Those that work go on."""
    _change(target, backfill_id, "cancel", as_json=as_json)


def _change(target: Target, backfill_id: str, wanted: "Change", *, as_json: bool) -> None:
    from wingbeat.cli import backfill_views

    asyncio.run(backfill_views.change(target, backfill_id, wanted, as_json=as_json))
