"""`wingbeat run signal`: gives a condition its value, of the type that it declares."""

from collections.abc import Callable, Mapping

import rich_click as click
from flyteidl2.workflow import run_definition_pb2 as pb

from wingbeat.cli import output, run_calls, run_reading
from wingbeat.cli.client import Api, connected
from wingbeat.cli.run_documents import Signalled
from wingbeat.cli.target import Target
from wingbeat.core.action import Phase
from wingbeat.core.value import Value, ValueType
from wingbeat.errors import FailedPrecondition, InvalidArgument

_WORDS = {"true": True, "yes": True, "false": False, "no": False}


async def signal_condition(target: Target, run: str, named: str, text: str, *, as_json: bool) -> None:
    async with connected(target) as api:
        condition = await _find(api, run, named)
        value = _value(text, ValueType(condition.metadata.condition.type.simple))
        await run_calls.signal(api, condition, value)
        after = (await run_calls.action_details(api, run, condition.id.name)).status
    signalled = Signalled(
        run=run,
        action=condition.id.name,
        condition=condition.metadata.condition.name,
        value=value,
        phase=run_reading.phase(after.phase),
    )
    if as_json:
        output.print_json(signalled)
    else:
        click.echo(f"condition {signalled.condition} (action {signalled.action}) of run {run} is {signalled.phase}")


async def _find(api: Api, run: str, named: str) -> pb.Action:
    """By the action's name, or by the condition's where that is clear. Raises NotFound and what else is wrong."""
    conditions = await run_calls.conditions(api, run)
    for condition in conditions:
        if condition.id.name == named:
            return condition
    of_name = [each for each in conditions if each.metadata.condition.name == named]
    waiting = [each for each in of_name if each.status.phase == Phase.PAUSED]
    if len(waiting) == 1 or len(of_name) == 1:
        return (waiting or of_name)[0]
    if of_name:
        actions = " or ".join(each.id.name for each in waiting or of_name)
        raise FailedPrecondition(f"run {run!r} has {len(of_name)} conditions {named!r}: name the action, {actions}")
    kind = (await run_calls.action_details(api, run, named)).metadata.action_type
    raise FailedPrecondition(
        f"action {named!r} of run {run!r} is a {pb.ActionType.Name(kind).removeprefix('ACTION_TYPE_')} and no CONDITION"
    )


def _value(text: str, declared: ValueType) -> Value:
    try:
        return _READERS[declared](text)
    except (ValueError, KeyError):
        raise InvalidArgument(f"{text!r} is no {declared.name}, the type that the condition declares") from None


_READERS: Mapping[ValueType, Callable[[str], Value]] = {
    ValueType.BOOLEAN: lambda text: _WORDS[text.lower()],
    ValueType.INTEGER: int,
    ValueType.FLOAT: float,
    ValueType.STRING: str,
}
