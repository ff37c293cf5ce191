"""The actions of a run as a tree for people."""

from datetime import datetime

from rich.text import Text
from rich.tree import Tree

from wingbeat.cli import output, plain
from wingbeat.cli.run_documents import ActionNode, RunTree


def drawn(tree: RunTree, *, now: datetime) -> Tree:
    """Children that belong to a group stand below its name. What is not over has lasted until `now`."""
    heading = Text.assemble((tree.run.name, "bold"), " ", (tree.run.phase, output.styled(tree.run.phase)))
    drawing = Tree(heading)
    _grow(drawing, tree.root, now)
    return drawing


def label(node: ActionNode) -> str:
    return plain.printable(f"{node.name} {node.task}".rstrip())


def lasted(node: ActionNode, *, now: datetime) -> float:
    """Seconds."""
    if node.duration_seconds is not None:
        return node.duration_seconds
    return max(0.0, (now - node.started_at).total_seconds())


def _grow(branch: Tree, node: ActionNode, now: datetime) -> None:
    own = branch.add(_line(node, now))
    groups: dict[str, Tree] = {}
    for child in node.children:
        if child.group and child.group not in groups:
            groups[child.group] = own.add(Text(plain.printable(child.group), "italic"))
        _grow(groups[child.group] if child.group else own, child, now)


def _line(node: ActionNode, now: datetime) -> Text:
    tries = f" {node.attempts} attempts" if node.attempts > 1 else ""
    took = plain.duration(lasted(node, now=now))
    prompt = f" {plain.printable(node.prompt)}" if node.prompt else ""
    cached = " from the cache" if node.cache == "HIT" else ""
    return Text.assemble(label(node), " ", (node.phase, output.styled(node.phase)), f" {took}{tries}{cached}{prompt}")
