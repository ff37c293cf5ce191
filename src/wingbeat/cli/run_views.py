"""What `wingbeat run` shows of runs, and how it ends them."""

from collections.abc import Iterator
from dataclasses import dataclass

import rich_click as click

from wingbeat.cli import output, plain, run_calls, run_reading
from wingbeat.cli.client import Api, connected
from wingbeat.cli.run_documents import Aborted, RunList, RunShown, RunSummary
from wingbeat.cli.run_tree import drawn
from wingbeat.cli.target import Target
from wingbeat.clock import system_clock
from wingbeat.core.action import Phase
from wingbeat.core.ids import ROOT_ACTION


@dataclass(frozen=True, slots=True)
class Wanted:
    """What runs are listed. None and nothing narrow nothing; `limit` None means all."""

    phases: tuple[Phase, ...]
    task: str | None
    trigger: str | None
    paused: bool
    """With a condition that waits."""
    limit: int | None


async def show_list(target: Target, wanted: Wanted, *, as_json: bool) -> None:
    filters = [
        *run_calls.only("phase", *(str(phase.value) for phase in wanted.phases)),
        *run_calls.only("task_name", wanted.task or ""),
        *run_calls.only("trigger_name", wanted.trigger or ""),
    ]
    async with connected(target) as api:
        found, more = await run_calls.newest(api, filters, limit=wanted.limit, paused=wanted.paused)
    runs = RunList(runs=tuple(run_reading.summary(each.action) for each in found), more=more)
    if as_json:
        output.print_json(runs)
        return
    if not runs.runs:
        click.echo(f"no such runs in {target.scope}", err=True)
        return
    output.print_table(("NAME", "TASK", "PHASE", "SOURCE", "STARTED", "DURATION"), map(_row, runs.runs))
    if more:
        click.echo("there are more: --limit shows them", err=True)


async def show_run(target: Target, run: str, *, as_json: bool) -> None:
    async with connected(target) as api:
        details = await run_calls.details(api, run)
        waiting = await run_calls.asked(api, await run_calls.conditions(api, run, waiting=True))
    shown = run_reading.shown(details, tuple(waiting.values()))
    if as_json:
        output.print_json(shown)
        return
    output.print_facts(_facts(shown))
    click.echo()
    output.print_table(("ATTEMPT", "PHASE", "NODE", "STARTED", "DURATION", "OUTPUTS"), _attempts(shown))


async def show_tree(target: Target, run: str, *, as_json: bool) -> None:
    async with connected(target) as api:
        actions = await run_calls.actions(api, run)
        waiting = [each for each in actions if each.status.phase == Phase.PAUSED]
        tree = run_reading.tree(actions, await run_calls.asked(api, waiting))
    if as_json:
        output.print_json(tree)
    else:
        output.show(drawn(tree, now=system_clock()))


async def abort_run(target: Target, run: str, action: str, *, reason: str, as_json: bool) -> None:
    async with connected(target) as api:
        before = await _phase(api, run, action)
        if not before.terminal:
            await run_calls.abort(api, run, action, reason=reason)
        aborted = Aborted(run=run, action=action, phase=(await _phase(api, run, action)).name)
    if as_json:
        output.print_json(aborted)
        return
    what = f"run {run}" if action == ROOT_ACTION else f"action {action} of run {run}"
    click.echo(f"{what} is {aborted.phase}{' already' if before.terminal else ''}")


async def _phase(api: Api, run: str, action: str) -> Phase:
    details = await run_calls.details(api, run)
    status = details.action.status
    if action != ROOT_ACTION:
        status = (await run_calls.action_details(api, run, action)).status
    return Phase(status.phase)


def _row(run: RunSummary) -> tuple[str, ...]:
    return (run.name, run.task, run.phase, _source(run), plain.moment(run.started_at), _lasted(run))


def _source(run: RunSummary) -> str:
    return f"trigger {run.trigger}" if run.trigger else run.source.lower().replace("_", " ")


def _lasted(run: RunSummary) -> str:
    if run.duration_seconds is not None:
        return plain.duration(run.duration_seconds)
    return plain.duration(max(0.0, (system_clock() - run.started_at).total_seconds()))


def _facts(shown: RunShown) -> Iterator[tuple[str, str]]:
    run = shown.run
    revision = f", revision {shown.trigger_revision}" if shown.trigger_revision else ""
    yield "run", run.name
    yield "task", f"{run.task} (version {run.task_version})"
    yield "phase", run.phase
    yield "source", _source(run) + revision
    yield "came from", f"{shown.related_run} ({shown.relation})" if shown.related_run else ""
    yield "created by", shown.created_by or ""
    yield "meant for", plain.moment(shown.meant_for)
    yield "started", plain.moment(run.started_at)
    yield "ended", plain.moment(run.ended_at)
    yield "duration", _lasted(run)
    yield "labels", ", ".join(f"{key}={value}" for key, value in shown.labels.items())
    yield "not honoured", "\n".join(shown.not_honoured)
    yield "aborted", shown.abort_reason or ""
    yield "waits for", "\n".join(f"{each.name} ({each.action}, {each.type}): {each.prompt}" for each in shown.waits_for)
    for attempt in shown.attempts:
        if attempt.error:
            yield f"error of attempt {attempt.number}", f"{attempt.error.code}: {attempt.error.message}"


def _attempts(shown: RunShown) -> Iterator[tuple[str, ...]]:
    for attempt in shown.attempts:
        yield (
            str(attempt.number),
            attempt.phase,
            attempt.node or "",
            plain.moment(attempt.started_at),
            plain.duration(attempt.duration_seconds),
            attempt.outputs_uri or "",
        )
