"""What `wingbeat prune` does and shows."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

import rich_click as click
from flyteidl2.common import identifier_pb2

from wingbeat._generated.retention.v1 import retention_pb2 as pb
from wingbeat.cli import output
from wingbeat.cli.client import Api, connected
from wingbeat.cli.prune_documents import KeptRuns, Pruning
from wingbeat.cli.target import Target
from wingbeat.cli.values import length_of

SHOWN = 10
"""Names of runs."""
POLL_SECONDS = 0.5
_WHY = {
    "UNFINISHED": "have actions that are not over",
    "NEEDED": "are read by other runs",
    "CACHED": "have results in the cache",
    "BUSY": "are being used or pruned by somebody else",
}


@dataclass(frozen=True, slots=True)
class Wish:
    older_than: timedelta
    everywhere: bool
    do_it: bool
    wait: bool


@dataclass(slots=True)
class _Found:
    """What all steps together found."""

    runs: int = 0
    actions: int = 0
    kept: Counter[str] = field(default_factory=Counter[str])
    first: list[str] = field(default_factory=list[str])

    def add(self, step: pb.PruneRunsResponse) -> None:
        self.runs += len(step.runs)
        self.actions += step.actions
        self.first += [_words(run) for run in step.runs[: SHOWN - len(self.first)]]
        for kept in step.kept:
            self.kept[pb.KeptReason.Name(kept.reason).removeprefix("KEPT_REASON_")] += kept.runs


async def prune(target: Target, wish: Wish, *, as_json: bool) -> None:
    """Step by step; what is done stays done when it is interrupted."""
    project, domain = (None, None) if wish.everywhere else (target.project, target.domain)
    async with connected(target) as api:
        found = await _steps(api, wish, project or "", domain or "")
        removing = await _removed(api, wait=wish.wait) if wish.do_it else None
    kept = tuple(KeptRuns(reason, number) for reason, number in sorted(found.kept.items()))
    if as_json:
        seconds = wish.older_than.total_seconds()
        output.print_json(Pruning(not wish.do_it, seconds, project, domain, found.runs, found.actions, kept, removing))
        return
    _print(found, kept, where="all projects" if wish.everywhere else target.scope, done=wish.do_it)
    if removing:
        click.echo(f"the server is removing the rows and files of {removing} runs")


async def _steps(api: Api, wish: Wish, project: str, domain: str) -> _Found:
    found = _Found()
    request = pb.PruneRunsRequest(
        older_than=length_of(wish.older_than), project=project, domain=domain, dry_run=not wish.do_it
    )
    while True:
        step = await api.retention.prune_runs(request)
        found.add(step)
        if not step.token:
            return found
        if wish.do_it and step.runs:
            click.echo(f"pruned {found.runs} runs", err=True)
        request.token = step.token


async def _removed(api: Api, *, wait: bool) -> int:
    """How many runs are still being removed; 0 when somebody waits for it."""
    told = 0
    while True:
        left = (await api.retention.get_removals(pb.GetRemovalsRequest())).runs
        if not left or not wait:
            return left
        if left != told:
            click.echo(f"removing the rows and files of {left} runs", err=True)
            told = left
        await asyncio.sleep(POLL_SECONDS)


def _print(found: _Found, kept: tuple[KeptRuns, ...], *, where: str, done: bool) -> None:
    verb = "pruned" if done else "would prune"
    click.echo(f"{verb} {found.runs} runs with {found.actions} actions in {where}")
    for name in found.first:
        click.echo(f"  {name}")
    if found.runs > len(found.first):
        click.echo(f"  and {found.runs - len(found.first)} more")
    for each in kept:
        click.echo(f"kept {each.runs} that {_WHY.get(each.reason, each.reason)}")
    if found.runs and not done:
        click.echo("nothing was changed: --yes prunes them", err=True)


def _words(run: identifier_pb2.RunIdentifier) -> str:
    return f"{run.project}/{run.domain}/{run.name}"
