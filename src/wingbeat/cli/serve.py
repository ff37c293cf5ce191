"""`wingbeat serve`: the server in this terminal, until Ctrl-C."""

import os
from pathlib import Path

import rich_click as click


@click.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.  [default: 8080]")
@click.option("--data", metavar="DIR", help="Where everything is kept.  [default: ./.wingbeat]")
@click.option("--database", metavar="URL", help="sqlite:///FILE or postgresql://USER@HOST/NAME.  [default: in --data]")
@click.option("--blobs", metavar="URI", help="A directory, s3://, gs:// or az:// BUCKET/PREFIX.  [default: in --data]")
@click.option(
    "--allow-unauthenticated",
    is_flag=True,
    default=None,
    help="Let other machines reach a server that asks nobody who they are.",
)
@click.option(
    "--config", "file", metavar="FILE", type=click.Path(path_type=Path), help="Settings in YAML; flags win over it."
)
def serve(
    *,
    host: str | None,
    port: int | None,
    data: str | None,
    database: str | None,
    blobs: str | None,
    allow_unauthenticated: bool | None,
    file: Path | None,
) -> None:
    """Run the server: API, scheduler, dispatcher and the agent that runs actions.

    Every setting can also come from the environment or a file: docs/reference/configuration.md.
    """
    from wingbeat.config.sources import load
    from wingbeat.http.listener import run
    from wingbeat.server.serve import serve as run_server

    flags = {
        "server.host": host,
        "server.port": port,
        "server.allowUnauthenticated": allow_unauthenticated,
        "data": data,
        "database": database,
        "blobs": blobs,
    }
    settings = load(flags=flags, environment=os.environ, file=file)
    run(run_server(settings, announce=click.echo))
