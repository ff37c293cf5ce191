"""`wingbeat demo`: the whole product in two minutes, with nothing but the stock SDK and CLI as clients."""

import shutil
import tempfile
from pathlib import Path

import rich_click as click

from wingbeat.cli.session import Session, found_examples


@click.command()
def demo() -> None:
    """Start a server, deploy the examples, wait for a scheduled fire, show what happened, stop.

    Everything happens in a temporary directory, and every command is shown: the same ones work by hand.
    """
    examples = found_examples()
    directory = Path(tempfile.mkdtemp(prefix="wingbeat-demo-"))
    try:
        shutil.copytree(examples, directory / "examples")
        with Session(directory) as session:
            _tour(session)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    click.secho("\nThat was all of it. By hand: wingbeat serve", fg="green")


def _tour(session: Session) -> None:
    session.say("Point the stock SDK at the server.")
    session.command("wingbeat", "config", "--url", session.url, "--file", "config.yaml", quiet=True)

    session.say("Deploy tasks that start by themselves: one every minute, one every hour.")
    session.flyte("deploy", "examples/scheduled.py", "env")

    session.say("Run a task and follow its log.")
    session.flyte("run", "--follow", "examples/hello.py", "hello", "--name", "Ada")
    run = session.wait_for_run("hello.hello")
    session.say("What it returned:")
    session.flyte("get", "io", run, "--outputs-only")

    session.say("The schedule fires by itself, at the full minute; this takes up to a minute.")
    fired = session.wait_for_run("scheduled.report")
    session.say("It fired, and the run has succeeded. Its log, the runs, and the triggers:")
    session.flyte("get", "logs", fired)
    session.flyte("get", "run")
    session.flyte("get", "trigger")
