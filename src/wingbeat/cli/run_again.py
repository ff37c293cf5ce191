"""`wingbeat run rerun` and `recover`: the task, the inputs and the settings of a run, once more, in a new run."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import rich_click as click
from flyteidl2.common import identifier_pb2
from flyteidl2.task import run_pb2
from flyteidl2.workflow import run_definition_pb2
from flyteidl2.workflow import run_service_pb2 as pb

from wingbeat.cli import output, run_calls, run_reading
from wingbeat.cli.client import Api, connected
from wingbeat.cli.run_documents import RunAgain
from wingbeat.cli.run_watch import watch_run
from wingbeat.cli.target import Target
from wingbeat.core.ids import RunId
from wingbeat.core.relation import Relation, RelationType
from wingbeat.errors import ResourceExhausted
from wingbeat.wire import relations

_PROVENANCE = ("relation", "related_to", "recover")
"""Of the run that is run again: the new one has its own."""


@dataclass(frozen=True, slots=True)
class Wanted:
    run: str
    relation: RelationType
    """RERUN or RECOVER."""
    force_rerun: Sequence[str]
    name: str | None
    """Of the new run; None: one that is made up."""
    follow: bool


async def run_again(target: Target, wanted: Wanted, *, as_json: bool) -> bool:
    """Whether the new run has succeeded, if it was followed."""
    async with connected(target) as api:
        created = await _created(api, wanted)
    if wanted.follow:
        if not as_json:
            click.echo(f"run {created.id.run.name} of {wanted.run}")
        return await watch_run(target, created.id.run.name, as_json=as_json)
    started = RunAgain(run=run_reading.summary(created), relation=wanted.relation.name, related_run=wanted.run)
    if as_json:
        output.print_json(started)
    else:
        click.echo(f"run {started.run.name} is {started.run.phase}: `wingbeat run watch {started.run.name}` follows it")
    return True


async def _created(api: Api, wanted: Wanted) -> run_definition_pb2.Action:
    """With the inputs in the request where a message holds them, and otherwise with the place where they are."""
    request = _request(api.target, wanted, await run_calls.details(api, wanted.run))
    inputs = await run_calls.inputs(api, wanted.run)
    if inputs is not None:
        request.inputs.CopyFrom(inputs)
        with suppress(ResourceExhausted):  # they hardly fit, and not together with the task
            return (await api.runs.create_run(request)).run.action
    request.offloaded_input_data.CopyFrom(await run_calls.place_of_inputs(api, wanted.run))
    return (await api.runs.create_run(request)).run.action


def _request(target: Target, wanted: Wanted, details: run_definition_pb2.RunDetails) -> pb.CreateRunRequest:
    spec = run_pb2.RunSpec()
    spec.CopyFrom(details.run_spec)
    for field in _PROVENANCE:
        spec.ClearField(field)
    related = Relation(wanted.relation, RunId(target.project, target.domain, wanted.run))
    spec.relation.CopyFrom(relations.to_proto(related))
    if wanted.force_rerun:
        spec.recover.force_rerun_actions.extend(wanted.force_rerun)
    request = pb.CreateRunRequest(
        task_spec=details.action.task, run_spec=spec, source=run_definition_pb2.RUN_SOURCE_CLI
    )
    if wanted.name:
        request.run_id.CopyFrom(run_calls.run_id(target, wanted.name))
    else:
        request.project_id.CopyFrom(identifier_pb2.ProjectIdentifier(name=target.project, domain=target.domain))
    return request
