"""`wingbeat config`: point the stock SDK and CLI at a server."""

import json
import shlex
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import rich_click as click

from wingbeat.errors import AlreadyExists, InvalidArgument, Unavailable

DEFAULT_URL = "http://127.0.0.1:8080"
SECONDS = 5


@click.command()
@click.option("--url", default=DEFAULT_URL, show_default=True, help="Where the server listens.")
@click.option("--project", help="The project of commands that name none.  [default: the first seeded one]")
@click.option("--domain", help="The domain of commands that name none.  [default: the first one]")
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    default=Path(".flyte/config.yaml"),
    show_default=True,
    help="Where to write; the SDK looks there by itself in the default place.",
)
@click.option("--force", is_flag=True, help="Overwrite a file that says something else.")
def config(*, url: str, project: str | None, domain: str | None, file: Path, force: bool) -> None:
    """Write the configuration of the flyte SDK and CLI for a server.

    Prints the environment with which a client opens files, directories and data frames of the server's own storage;
    nothing else needs it.  Use it as `eval "$(wingbeat config)"`.
    """
    known = _ask(url)
    text = sdk_configuration(url, project=project or known["project"], domain=domain or known["domain"])
    _write(file, text, force=force)
    click.echo(f"wrote {file}", err=True)
    for name, value in known["environment"].items():
        click.echo(f"export {name}={shlex.quote(value)}")


def sdk_configuration(url: str, *, project: str, domain: str) -> str:
    """The SDK's config.yaml. Its scheme comes from `insecure` alone."""
    parts = urlsplit(url)
    return (
        f"admin:\n  endpoint: dns:///{parts.netloc}\n  insecure: {str(parts.scheme == 'http').lower()}\n"
        f"image:\n  builder: remote\n"
        f"task:\n  project: {json.dumps(project)}\n  domain: {json.dumps(domain)}\n"
    )


def _ask(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidArgument(f"{url!r} is no URL of a server, such as {DEFAULT_URL}")
    connect = HTTPConnection if parts.scheme == "http" else HTTPSConnection
    connection = connect(parts.netloc, timeout=SECONDS)
    try:
        connection.request("GET", "/wingbeat/config")
        answer = connection.getresponse()
        if answer.status != HTTPStatus.OK:
            raise Unavailable(f"{url} is not a Wingbeat server: it answered {answer.status}")
        return json.load(answer)
    except (OSError, HTTPException, ValueError) as error:
        raise Unavailable(f"no Wingbeat server answers at {url} ({error}): start one with `wingbeat serve`") from error
    finally:
        connection.close()


def _write(file: Path, text: str, *, force: bool) -> None:
    if file.exists() and file.read_text() != text and not force:
        raise AlreadyExists(f"{str(file)!r} says something else: use --force to overwrite it, or another --file")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
