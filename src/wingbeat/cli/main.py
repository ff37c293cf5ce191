"""The command `wingbeat`. Commands import what they need when they run: help and errors must be quick."""

import sys

import rich_click as click

from wingbeat import __version__
from wingbeat.cli.config import config
from wingbeat.cli.demo import demo
from wingbeat.cli.run import run
from wingbeat.cli.serve import serve
from wingbeat.cli.trigger import trigger
from wingbeat.errors import WingbeatError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="wingbeat")
def wingbeat() -> None:
    """A workflow control plane that speaks the Flyte 2 API."""


for command in (serve, config, demo, run, trigger):
    wingbeat.add_command(command)


def main() -> None:
    try:
        wingbeat()
    except WingbeatError as error:
        click.echo(f"wingbeat: {error}", err=True)
        sys.exit(1)
