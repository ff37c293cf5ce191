"""Lists runs in the ways that JSON asks for: name -> arguments of Run.listall. Prints the names that each finds.

python lists.py URL JSON
"""

import asyncio
import json
import sys
from datetime import datetime
from typing import Any

import flyte
import flyte.remote
from flyte.remote import TimeFilter


async def main(url: str, wanted: dict[str, dict[str, Any]]) -> None:
    await flyte.init.aio(endpoint=url, insecure=True, project="birds", domain="development", auth_type="Passthrough")
    print(json.dumps({name: await names(arguments) for name, arguments in wanted.items()}))


async def names(arguments: dict[str, Any]) -> list[str]:
    if "created_at" in arguments:
        between = {key: datetime.fromisoformat(at) for key, at in arguments["created_at"].items()}
        arguments = {**arguments, "created_at": TimeFilter(**between)}
    listed: Any = flyte.remote.Run.listall.aio(**arguments)
    return sorted([run.name async for run in listed])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
