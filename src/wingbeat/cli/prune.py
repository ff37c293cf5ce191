"""`wingbeat prune`: remove old runs with all that is theirs."""

import asyncio
from datetime import timedelta

import rich_click as click

from wingbeat.cli.options import on_server, with_output
from wingbeat.cli.target import Target
from wingbeat.cli.values import AGE


@click.command()
@click.option(
    "--older-than",
    type=AGE,
    default="30d",
    show_default=True,
    help="Runs that ended longer ago, as 30d or 36h; 10m at least.",
)
@click.option("--everywhere", is_flag=True, help="In all projects and domains, and not only in one.")
@click.option("--yes", is_flag=True, help="Do it. Without, it is only shown what would go.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Until their rows and files are removed, too.")
@on_server
@with_output
def prune(*, target: Target, older_than: timedelta, everywhere: bool, yes: bool, wait: bool, as_json: bool) -> None:
    """Remove old runs, with their inputs, outputs, logs and raw data.

    Shows which would go; with --yes they go. What another run or the cache needs stays, and so does what is not over.
    The server goes on by itself with what it has begun, whether somebody waits for it or not.
    """
    from wingbeat.cli import prune_views
    from wingbeat.cli.prune_views import Wish

    wish = Wish(older_than, everywhere=everywhere, do_it=yes, wait=wait)
    asyncio.run(prune_views.prune(target, wish, as_json=as_json))
