"""How results look: words and tables for people, one JSON document for programs.

Nothing is cut off in what does not go to a terminal.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import rich_click as click

from wingbeat.cli.plain import json_text, printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

WIDE = 10_000
"""Columns of what is no terminal."""
_STYLES = {
    "SUCCEEDED": "green",
    "RECOVERED": "green",
    "FAILED": "red",
    "TIMED_OUT": "red",
    "ABORTED": "yellow",
    "RUNNING": "cyan",
}


def console() -> "Console":
    """Of standard output. What is printed is never taken for markup."""
    from rich.console import Console

    made = Console(markup=False, emoji=False, highlight=False)
    if not made.is_terminal:
        made.width = WIDE
    return made


def print_json(document: object) -> None:
    """`document` is a dataclass."""
    click.echo(json_text(document))


def show(drawing: "RenderableType") -> None:
    """Print what rich draws, without the blanks that it puts at the ends of lines."""
    made = console()
    with made.capture() as captured:
        made.print(drawing)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich.table import Column, Table
    from rich.text import Text

    table = Table(*(Column(name, overflow="fold") for name in columns), box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(printable(cell), styled(cell)) for cell in row))
    show(table)


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Names and what they are; those that are nothing are left out."""
    from rich.table import Column, Table
    from rich.text import Text

    table = Table.grid(Column(style="bold", no_wrap=True), Column(overflow="fold"), padding=(0, 2))
    for name, value in facts:
        if value:
            table.add_row(Text(name), Text(printable(value), styled(value)))
    show(table)


def styled(word: str) -> str:
    """The style of a phase; empty for those that need no attention, and for every other word."""
    return _STYLES.get(word, "")
