"""What `wingbeat trigger` does with triggers, and what it says of the scheduler."""

from datetime import timedelta

import rich_click as click

from wingbeat._generated.automation.v1 import automation_pb2 as pb
from wingbeat.cli import literals, output, plain, trigger_calls, trigger_reading
from wingbeat.cli.client import connected
from wingbeat.cli.target import Target
from wingbeat.cli.trigger_documents import ForecastShown, HealthShown
from wingbeat.cli.trigger_views import print_trigger, read

BAR = 40
"""The width of the busiest bucket."""


async def fire(
    target: Target, typed: str, pairs: tuple[tuple[str, str], ...], wanted: pb.FireTriggerRequest, *, as_json: bool
) -> None:
    async with connected(target) as api:
        wanted.name.CopyFrom(await trigger_calls.named(api, typed))
        if pairs:
            task = await trigger_calls.task_spec(api, await trigger_calls.details(api, wanted.name))
            wanted.inputs.CopyFrom(literals.inputs(pairs, task))
        fired = trigger_reading.fired(await api.automation.fire_trigger(wanted))
    if as_json:
        output.print_json(fired)
        return
    if fired.run:
        click.echo(f"started run {fired.run}; follow it with: wingbeat run watch {fired.run}")
    else:
        output.print_table(("INPUT", "VALUE"), ((each.name, each.value) for each in fired.inputs))
        if fired.input_uri:
            click.echo(f"the inputs are a file in {fired.input_uri}")


async def pause(target: Target, typed: str, wanted: pb.PauseTriggerRequest, *, as_json: bool) -> None:
    async with connected(target) as api:
        wanted.name.CopyFrom(await trigger_calls.named(api, typed))
        await api.automation.pause_trigger(wanted)
        shown = await read(api, wanted.name)
    print_trigger(shown, as_json=as_json)


async def resume(target: Target, typed: str, *, as_json: bool) -> None:
    async with connected(target) as api:
        name = await trigger_calls.named(api, typed)
        await api.automation.resume_trigger(pb.ResumeTriggerRequest(name=name))
        shown = await read(api, name)
    print_trigger(shown, as_json=as_json)


async def roll_back(target: Target, typed: str, wanted: pb.RollbackTriggerRequest, *, as_json: bool) -> None:
    async with connected(target) as api:
        wanted.name.CopyFrom(await trigger_calls.named(api, typed))
        await api.automation.rollback_trigger(wanted)
        shown = await read(api, wanted.name)
    print_trigger(shown, as_json=as_json)


async def show_forecast(target: Target, wanted: pb.ForecastLoadRequest, *, everywhere: bool, as_json: bool) -> None:
    if not everywhere:
        wanted.project_id.name, wanted.project_id.domain = target.project, target.domain
    async with connected(target) as api:
        shown = trigger_reading.forecast(await api.automation.forecast_load(wanted))
    if as_json:
        output.print_json(shown)
    else:
        _print_forecast(shown)


async def show_health(target: Target, *, max_lag: timedelta, as_json: bool) -> bool:
    """Whether all is well."""
    async with connected(target) as api:
        shown = trigger_reading.health(
            await api.automation.get_scheduler_health(pb.GetSchedulerHealthRequest()), max_lag=max_lag
        )
    if as_json:
        output.print_json(shown)
    else:
        _print_health(shown)
    return shown.healthy


def _print_forecast(shown: ForecastShown) -> None:
    most = max((bucket.fires for bucket in shown.buckets), default=0) or 1
    output.print_table(
        ("FROM", "RUNS", ""),
        ((plain.moment(each.begin), str(each.fires), "#" * round(BAR * each.fires / most)) for each in shown.buckets),
    )
    if shown.triggers:
        click.echo()
        output.print_table(
            ("TASK", "NAME", "RUNS"), ((each.task, each.name, str(each.fires)) for each in shown.triggers)
        )
    if shown.trigger_count > len(shown.triggers):
        click.echo(f"and {shown.trigger_count - len(shown.triggers)} more triggers", err=True)


def _print_health(shown: HealthShown) -> None:
    output.print_facts(
        (
            ("healthy", "yes" if shown.healthy else "no"),
            ("lag", plain.duration(shown.lag_seconds)),
            ("active triggers", str(shown.active_triggers)),
            ("overdue", str(shown.overdue_triggers)),
            ("catching up", str(shown.triggers_with_backlog)),
            ("behind since", plain.moment(shown.oldest_backlog)),
            ("failing", str(shown.failing_triggers)),
            ("nodes", ", ".join(node.host for node in shown.nodes)),
            ("scheduled at", ", ".join(plain.moment(node.scheduled_at) for node in shown.nodes)),
        )
    )
    if shown.failing:
        click.echo()
        rows = ((each.task, each.name, str(each.failures), each.error) for each in shown.failing)
        output.print_table(("TASK", "NAME", "FAILURES", "ERROR"), rows)
