"""The command `wingbeat`. Commands import what they need when they run: help and errors must be quick."""

import os
import sys
from typing import NoReturn

import rich_click as click

from wingbeat import __version__
from wingbeat.cli.config import config
from wingbeat.cli.demo import demo
from wingbeat.cli.prune import prune
from wingbeat.cli.run import run
from wingbeat.cli.serve import serve
from wingbeat.cli.trigger import trigger
from wingbeat.errors import WingbeatError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="wingbeat")
def wingbeat() -> None:
    """A workflow control plane that speaks the Flyte 2 API."""


@click.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def compose(*, arguments: tuple[str, ...]) -> None:
    """Scheduled DAGs of a program of yours, without a server: start, status, run, fire ..."""
    from wingbeat.cli.compose.command import main as run_compose

    sys.exit(run_compose(arguments))


for command in (serve, config, demo, run, trigger, prune, compose):
    wingbeat.add_command(command)


def main() -> None:
    """The program."""
    code = command_line()
    if "wingbeat.cli.client" in sys.modules:
        _leave(code)
    sys.exit(code)


def command_line() -> int:
    """Run the command that was typed; the exit code."""
    try:
        wingbeat()
    except WingbeatError as error:
        click.echo(f"wingbeat: {error}", err=True)
        return 1
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _leave(code: int) -> NoReturn:
    """Without the end of the interpreter, under which the threads of the HTTP client would now and then abort."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = code or 1
    os._exit(code)
