"""A run until it is over: as a tree that changes in place, or a line for each change."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta

import rich_click as click
from flyteidl2.workflow.run_definition_pb2 import Action
from rich.console import Group
from rich.live import Live
from rich.text import Text

from wingbeat.cli import output, plain, run_calls, run_reading
from wingbeat.cli.client import Api, connected
from wingbeat.cli.run_documents import RunTree
from wingbeat.cli.run_questions import Asked, lines, nodes, questions
from wingbeat.cli.run_tree import drawn, label
from wingbeat.cli.target import Target
from wingbeat.clock import system_clock
from wingbeat.core.action import Phase
from wingbeat.errors import Unavailable
from wingbeat.rpc.pulse import with_pulse

LOOK_SECONDS = 1.0
FRAME = timedelta(milliseconds=200)
"""Between two drawings of the tree: a wide run changes faster than anyone can read."""
PATIENCE_SECONDS = 60.0
"""How long a server that has answered before may be away, as when it is started again."""
GOOD_ENDS = frozenset({Phase.SUCCEEDED, Phase.RECOVERED})


async def watch_run(target: Target, run: str, *, as_json: bool) -> bool:
    """Whether it has succeeded."""
    async with connected(target) as api, aclosing(_looks(api, run)) as looks:
        if as_json:
            last = await _wait(looks)
            output.print_json(last)
        elif output.console().is_terminal:
            last = await _draw(looks)
        else:
            last = await _tell(looks)
        good = Phase[last.run.phase] in GOOD_ENDS
        if not as_json:
            click.echo(f"run {run} {last.run.phase} after {plain.duration(last.run.duration_seconds)}")
            if not good:
                await _explain(api, run)
        return good


async def _looks(api: Api, run: str) -> AsyncGenerator[RunTree]:
    """The run whenever it changes, and after every second without a change; the last time when it is over."""
    clock = asyncio.get_running_loop().time
    answered: float | None = None
    known: dict[str, Action] = {}
    asked = Asked(api)
    tree: RunTree | None = None
    while True:
        try:
            async with aclosing(with_pulse(run_calls.changes(api, run), seconds=LOOK_SECONDS)) as changes:
                async for changed in changes:
                    known.update({action.id.name: action for action in changed or ()})
                    if changed:
                        tree = run_reading.tree(list(known.values()), await asked.of(known))
                    if tree is not None:
                        answered = clock()
                        yield tree
                return
        except Unavailable:
            if answered is None or clock() - answered > PATIENCE_SECONDS:
                raise
        await asyncio.sleep(LOOK_SECONDS)


async def _wait(looks: AsyncGenerator[RunTree]) -> RunTree:
    """What the run asks of people goes beside the document: it would not come as long as nobody answers."""
    told: set[str] = set()
    last = await anext(looks)
    _ask(last, told)
    async for last in looks:
        _ask(last, told)
    return last


def _ask(tree: RunTree, told: set[str]) -> None:
    for question in questions(tree):
        if question.action not in told:
            told.add(question.action)
            click.echo(question.line, err=True)


async def _draw(looks: AsyncGenerator[RunTree]) -> RunTree:
    last = await anext(looks)
    with Live(_picture(last), console=output.console(), auto_refresh=False) as live:
        drawn_at = system_clock()
        async for last in looks:
            if system_clock() - drawn_at >= FRAME:
                live.update(_picture(last), refresh=True)
                drawn_at = system_clock()
        live.update(_picture(last), refresh=True)
    return last


def _picture(tree: RunTree) -> Group:
    return Group(drawn(tree, now=system_clock()), *map(Text, lines(questions(tree))))


async def _tell(looks: AsyncGenerator[RunTree]) -> RunTree:
    known: dict[str, str] = {}
    last = await anext(looks)
    _tell_changes(last, known)
    async for last in looks:
        _tell_changes(last, known)
    return last


def _tell_changes(tree: RunTree, known: dict[str, str]) -> None:
    """`known` is what was told of each action."""
    asked = {question.action: question.line for question in questions(tree)}
    for node in nodes(tree.root):
        state = node.phase if node.attempts == 1 else f"{node.phase} attempt {node.attempts}"
        if known.get(node.name) != state:
            known[node.name] = state
            click.echo(f"{plain.moment(system_clock())} {label(node)} {state}")
            if node.name in asked:
                click.echo(f"  {asked[node.name]}")


async def _explain(api: Api, run: str) -> None:
    shown = run_reading.shown(await run_calls.details(api, run))
    if shown.error:
        click.echo(plain.printable(shown.error.message))
    elif shown.abort_reason:
        click.echo(plain.printable(shown.abort_reason))
