"""One call of a node's callable: on the loop or in a thread, in time, and again when it fails."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from inspect import isawaitable
from typing import Any

from wingbeat.compose.exits import exit_error
from wingbeat.compose.plans import Step
from wingbeat.compose.running.outputs_kept import Kept
from wingbeat.compose.running.threads import threads
from wingbeat.compose.steps import StepOptions

NO_OPTIONS = StepOptions()


class DagPause(Exception):
    """Raised by a node: the run pauses, and the node is called again when it goes on."""


async def call(step: Step, target: Callable[..., Any], context: tuple[Any, ...], inputs: Mapping[str, Any]) -> Any:
    """What the target returns, under the options of the node. Raises what it raises, TimeoutError when it is late."""
    options = step.node.options
    if options == NO_OPTIONS:
        return await _once(step, target, context, inputs)
    attempt = partial(_once, step, target, context, inputs)
    if options.cache is None:
        return await _patiently(step, options, attempt)
    kept = Kept.of(step.node)
    key = kept.key(step.node, inputs)
    if found := kept.get(key):
        return found[0]
    output = await _patiently(step, options, attempt)
    kept.put(key, output, seconds=options.cache)
    return output


async def _patiently(step: Step, options: StepOptions, attempt: Callable[[], Any]) -> Any:
    for left in range(options.retries, -1, -1):
        try:
            return await _in_time(step, options.timeout, attempt)
        except DagPause:
            raise
        except Exception:
            if not left:
                raise
        await asyncio.sleep(options.retry_delay)
    raise RuntimeError("a call is tried once at least")


async def _in_time(step: Step, timeout: float | None, attempt: Callable[[], Any]) -> Any:
    limit = asyncio.timeout(timeout)
    try:
        async with limit:
            return await attempt()
    except TimeoutError as error:
        if limit.expired():
            raise TimeoutError(f"node {step.label!r} took longer than {timeout} s") from error
        raise


async def _once(step: Step, target: Callable[..., Any], context: tuple[Any, ...], inputs: Mapping[str, Any]) -> Any:
    by_position, by_name = step.arguments(inputs)
    made = partial(target, *context, *by_position, **by_name)
    try:
        output = made() if step.stays_on_loop(target) else await threads().run(made)
        return await output if isawaitable(output) else output
    except SystemExit as end:
        raise exit_error("the node", end) from end
