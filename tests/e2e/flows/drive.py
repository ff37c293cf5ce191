"""Starts runs, all at the same time, and says what became of each once they are over.

python drive.py [--leave] JSON, where JSON is name -> {task: "module.function", inputs, environment, context, options},
or {run: NAME} for one that was started before. `--leave`: only say the names of the runs, do not wait.
"""

import asyncio
import importlib
import json
import sys
from typing import Any

import flyte
import flyte.errors
import flyte.remote
from google.protobuf.json_format import MessageToDict

Wanted = dict[str, Any]


async def main(wanted: dict[str, Wanted], *, leave: bool) -> None:
    await flyte.init_from_config.aio()
    seen = await asyncio.gather(*((name_of if leave else outcome_of)(each) for each in wanted.values()))
    print(json.dumps(dict(zip(wanted, seen, strict=True))))


async def run_of(wanted: Wanted) -> Any:
    if "run" in wanted:
        return await flyte.remote.Run.get.aio(wanted["run"])
    module, _, function = wanted["task"].partition(".")
    task = getattr(importlib.import_module(module), function)
    environment, custom = wanted["environment"], wanted["context"]
    context = flyte.with_runcontext(env_vars=environment, custom_context=custom, **wanted["options"])
    return await context.run.aio(task, **wanted["inputs"])


async def name_of(wanted: Wanted) -> str:
    return (await run_of(wanted)).name


async def outcome_of(wanted: Wanted) -> dict[str, Any]:
    run = await run_of(wanted)
    await run.wait.aio(quiet=True)
    actions: Any = flyte.remote.Action.listall.aio(for_run_name=run.name)
    listed = [MessageToDict(action.pb2) async for action in actions]
    return {"run": run.name, "phase": run.phase, "actions": listed} | await result_of(run)


async def result_of(run: Any) -> dict[str, Any]:
    try:
        outputs = await run.outputs.aio()
        await run.raise_for_status.aio()
    except flyte.errors.BaseRuntimeError as error:
        return {"error": type(error).__name__, "text": str(error)}
    return {"output": outputs[0] if len(outputs) else None}


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[-1]), leave="--leave" in sys.argv))
