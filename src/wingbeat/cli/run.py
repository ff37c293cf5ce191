"""`wingbeat run`: look at runs, follow them, signal their conditions, end them."""

import asyncio
import sys

import rich_click as click

from wingbeat.cli.options import Command, on_server, with_output
from wingbeat.cli.target import Target
from wingbeat.core.action import Phase
from wingbeat.core.ids import ROOT_ACTION
from wingbeat.core.relation import RelationType


def _new_run(command: Command) -> Command:
    """`command` starts a run: it gets `as_name` and `follow`."""
    named = click.option("--name", "as_name", metavar="NAME", help="Of the new run.  [default: one that is made up]")
    followed = click.option("--follow/--no-follow", default=False, show_default=True, help="Go on until it is over.")
    return named(followed(command))


@click.group()
def run() -> None:
    """Look at runs, follow them, signal their conditions, end them."""


@run.command("list")
@click.option(
    "--phase",
    "phases",
    metavar="PHASE",
    type=click.Choice([phase.name for phase in Phase], case_sensitive=False),
    multiple=True,
    help="Only runs in this phase, such as failed; several are allowed.",
)
@click.option("--task", help="Only runs of the task of this name, such as environment.function.")
@click.option("--trigger", help="Only runs that a trigger of this name started.")
@click.option("--paused", is_flag=True, help="Only runs with a condition that waits for its value.")
@click.option(
    "--limit", type=click.IntRange(min=0), default=50, show_default=True, help="At most so many; 0 for all of them."
)
@on_server
@with_output
def list_(
    *,
    target: Target,
    phases: tuple[str, ...],
    task: str | None,
    trigger: str | None,
    paused: bool,
    limit: int,
    as_json: bool,
) -> None:
    """List runs, the newest first."""
    from wingbeat.cli.run_views import Wanted, show_list

    in_phases = tuple(Phase[name] for name in phases)
    wanted = Wanted(phases=in_phases, task=task, trigger=trigger, paused=paused, limit=limit or None)
    asyncio.run(show_list(target, wanted, as_json=as_json))


@run.command()
@click.argument("name", metavar="RUN")
@on_server
@with_output
def show(*, target: Target, name: str, as_json: bool) -> None:
    """Show a run in detail: what it waits for, its attempts and errors, what it asked for and did not get."""
    from wingbeat.cli.run_views import show_run

    asyncio.run(show_run(target, name, as_json=as_json))


@run.command()
@click.argument("name", metavar="RUN")
@on_server
@with_output
def tree(*, target: Target, name: str, as_json: bool) -> None:
    """Show all actions of a run, each below the one that asked for it."""
    from wingbeat.cli.run_views import show_tree

    asyncio.run(show_tree(target, name, as_json=as_json))


@run.command()
@click.argument("name", metavar="RUN")
@on_server
@with_output
def watch(*, target: Target, name: str, as_json: bool) -> None:
    """Watch a run until it is over.

    Shows its tree as it changes, or a line for each change where standard output is no terminal; as JSON, the tree
    at the end. Where the run waits for the value of a condition, it says so, and which command gives it. Exits with 0
    when the run has succeeded and with 1 when it has not.
    """
    from wingbeat.cli.run_watch import watch_run

    sys.exit(0 if asyncio.run(watch_run(target, name, as_json=as_json)) else 1)


@run.command()
@click.argument("name", metavar="RUN")
@click.argument("action", default=ROOT_ACTION)
@click.option("--attempt", type=click.IntRange(min=1), help="Counted from 1.  [default: the latest]")
@click.option("--follow/--no-follow", default=True, show_default=True, help="Go on until the attempt is over.")
@on_server
def logs(*, target: Target, name: str, action: str, attempt: int | None, follow: bool) -> None:
    """Print the log of an attempt at an action, the run's first action unless ACTION names another."""
    from wingbeat.cli.run_logs import print_log

    asyncio.run(print_log(target, name, action, attempt=attempt, follow=follow))


@run.command()
@click.argument("name", metavar="RUN")
@click.argument("action", default=ROOT_ACTION)
@click.option("--reason", default="", help="Kept with what is ended, for whoever asks later.")
@on_server
@with_output
def abort(*, target: Target, name: str, action: str, reason: str, as_json: bool) -> None:
    """End a run, or one ACTION of it and all below it. What is over already stays what it is."""
    from wingbeat.cli.run_views import abort_run

    asyncio.run(abort_run(target, name, action, reason=reason, as_json=as_json))


@run.command()
@click.argument("name", metavar="RUN")
@_new_run
@on_server
@with_output
def rerun(*, target: Target, name: str, as_name: str | None, follow: bool, as_json: bool) -> None:
    """Run RUN again: its task, inputs and settings, in a new run that does everything anew.

    With --follow it exits with 0 when the new run has succeeded and with 1 when it has not.
    """
    from wingbeat.cli.run_again import Wanted, run_again

    wanted = Wanted(name, RelationType.RERUN, force_rerun=(), name=as_name, follow=follow)
    sys.exit(0 if asyncio.run(run_again(target, wanted, as_json=as_json)) else 1)


@run.command()
@click.argument("name", metavar="RUN")
@click.option(
    "--force-rerun",
    "force_rerun",
    metavar="ACTION",
    multiple=True,
    help="An action that runs again although it has succeeded; several are allowed. Those below it are not meant.",
)
@_new_run
@on_server
@with_output
def recover(
    *, target: Target, name: str, force_rerun: tuple[str, ...], as_name: str | None, follow: bool, as_json: bool
) -> None:
    """Run RUN again, which must be over, but for the actions that have succeeded: their outputs are taken over.

    The first action always runs again. With --follow it exits with 0 when the new run has succeeded and with 1 when it
    has not.
    """
    from wingbeat.cli.run_again import Wanted, run_again

    wanted = Wanted(name, RelationType.RECOVER, force_rerun, name=as_name, follow=follow)
    sys.exit(0 if asyncio.run(run_again(target, wanted, as_json=as_json)) else 1)


@run.command(context_settings={"ignore_unknown_options": True})
@click.argument("name", metavar="RUN")
@click.argument("condition")
@click.argument("value")
@on_server
@with_output
def signal(*, target: Target, name: str, condition: str, value: str, as_json: bool) -> None:
    """Give a CONDITION of a run the VALUE that it waits for.

    CONDITION is the name of its action, or its own where no other one that waits has it. VALUE is of the type that the
    condition declares: true or false, a number, or any text. The same value may be given again, another one may not.
    """
    from wingbeat.cli.run_signal import signal_condition

    asyncio.run(signal_condition(target, name, condition, value, as_json=as_json))
