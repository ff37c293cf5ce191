"""Options that commands share."""

import functools
from collections.abc import Callable
from typing import Any

import rich_click as click

from wingbeat.cli.target import DEFAULT_URL, find_target
from wingbeat.config import variables

Command = Callable[..., None]

TEXT, JSON = "text", "json"


def on_server(command: Command) -> Command:
    """`command` gets a `target`: the server, project and domain that are meant."""

    @functools.wraps(command)
    def aimed(*, url: str | None, project: str | None, domain: str | None, **options: Any) -> None:
        command(target=find_target(url=url, project=project, domain=domain), **options)

    for option in reversed(_TARGET_OPTIONS):
        aimed = option(aimed)
    return aimed


def with_output(command: Command) -> Command:
    """`command` gets `as_json`."""

    @functools.wraps(command)
    def told(*, output: str, **options: Any) -> None:
        command(as_json=output == JSON, **options)

    return click.option(
        "--output",
        "-o",
        type=click.Choice([TEXT, JSON]),
        default=TEXT,
        show_default=True,
        help="For people, or one JSON document (docs/reference/commands.md).",
    )(told)


_TARGET_OPTIONS = (
    click.option(
        "--url",
        envvar=variables.URL,
        help=f"Where the server listens.  [default: {variables.URL}, the SDK's configuration, {DEFAULT_URL}]",
    ),
    click.option(
        "--project",
        envvar=variables.PROJECT,
        help=f"The project that is meant.  [default: {variables.PROJECT}, the SDK's configuration, the server's first]",
    ),
    click.option(
        "--domain",
        envvar=variables.DOMAIN,
        help=f"The domain that is meant.  [default: {variables.DOMAIN}, the SDK's configuration, the server's first]",
    ),
)
