"""Starts every run that it is asked for at the same time, waits for all, and prints what became of each, as JSON.

Asked for in JSON: name -> {task: "module.function", inputs, environment, context}.
"""

import asyncio
import importlib
import json
import sys
from typing import Any

import flyte
import flyte.errors

Wanted = dict[str, Any]


async def main(wanted: dict[str, Wanted]) -> None:
    await flyte.init_from_config.aio()
    found = await asyncio.gather(*(outcome(run) for run in wanted.values()))
    print(json.dumps(dict(zip(wanted, found, strict=True))))


async def outcome(wanted: Wanted) -> dict[str, Any]:
    module, _, function = wanted["task"].partition(".")
    task = getattr(importlib.import_module(module), function)
    context = flyte.with_runcontext(
        env_vars=wanted.get("environment"), custom_context=wanted.get("context"), copy_style="loaded_modules"
    )
    run: Any = await context.run.aio(task, **wanted.get("inputs", {}))
    await run.wait.aio(quiet=True)
    return {"run": run.name, "phase": run.phase} | await result(run)


async def result(run: Any) -> dict[str, Any]:
    try:
        outputs = await run.outputs.aio()
        await run.raise_for_status.aio()
    except flyte.errors.BaseRuntimeError as error:
        return {"error": type(error).__name__, "text": str(error)}
    return {"output": outputs[0] if len(outputs) else None}


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
