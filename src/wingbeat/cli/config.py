"""`wingbeat config`: point the stock SDK and CLI at a server."""

import json
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import rich_click as click

from wingbeat.cli.target import DEFAULT_URL, SDK_FILE, ask
from wingbeat.errors import AlreadyExists


@click.command()
@click.option("--url", default=DEFAULT_URL, show_default=True, help="Where the server listens.")
@click.option("--project", help="The project of commands that name none.  [default: the first seeded one]")
@click.option("--domain", help="The domain of commands that name none.  [default: the first one]")
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    default=SDK_FILE,
    show_default=True,
    help="Where to write; the SDK looks there by itself in the default place.",
)
@click.option("--force", is_flag=True, help="Overwrite a file that says something else.")
def config(*, url: str, project: str | None, domain: str | None, file: Path, force: bool) -> None:
    """Write the configuration of the flyte SDK and CLI for a server.

    Prints the environment with which a client opens files, directories and data frames of the server's own storage;
    nothing else needs it.  Use it as `eval "$(wingbeat config)"`.
    """
    known = ask(url)
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


def _write(file: Path, text: str, *, force: bool) -> None:
    if file.exists() and file.read_text() != text and not force:
        raise AlreadyExists(f"{str(file)!r} says something else: use --force to overwrite it, or another --file")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
