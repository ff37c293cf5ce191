"""Workflows that wait for people: for each type of value, too long, by webhook, and with attempts that fail."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import flyte
import flyte.errors

env = flyte.TaskEnvironment(name="approvals")


@env.task
async def ask_all() -> list[str]:
    """The values that four conditions were given, and their types."""
    kinds = (bool, int, float, str)
    conditions = [
        await flyte.new_condition.aio(f"a_{kind.__name__}", prompt=f"Which {kind.__name__}?", data_type=kind)
        for kind in kinds
    ]
    values = await asyncio.gather(*(condition.wait.aio() for condition in conditions))
    return [f"{type(value).__name__} {value}" for value in values]


@env.task
async def ask(name: str) -> bool:
    condition = await flyte.new_condition.aio(name, prompt="Is it good?")
    return await condition.wait.aio()


@env.task
async def ask_and_need(path: str) -> bool:
    """Fails, once it is answered, as long as there is no such file."""
    condition = await flyte.new_condition.aio("once")
    answer = await condition.wait.aio()
    if not Path(path).exists():
        raise FileNotFoundError(path)
    return answer


@env.task
async def ask_in_vain() -> str:
    condition = await flyte.new_condition.aio("nobody_answers", timeout=1)
    try:
        return str(await condition.wait.aio())
    except flyte.errors.ConditionTimedoutError as error:
        return type(error).__name__


@env.task
async def ask_by_webhook(url: str) -> int:
    webhook = flyte.ConditionWebhook(url=url, payload={"answer_to": ["{callback_uri}"], "count": 3})
    condition = await flyte.new_condition.aio("by_webhook", data_type=int, webhook=webhook)
    return await condition.wait.aio()


@env.task
async def at_once() -> int:
    return 1


@dataclass
class Page(flyte.Link):
    """A link beside the logs."""

    name: str = "page"
    icon_uri: str | None = ""

    def get_link(
        self,
        run_name: str,
        project: str,
        domain: str,
        context: dict[str, str],
        parent_action_name: str,
        action_name: str,
        pod_name: str,
        **kwargs: str,
    ) -> str:
        rendered = "{{.runName}}/{{.executionProject}}/{{.executionDomain}}"
        return f"https://pages.example.org/{run_name}/{action_name}/{pod_name}/{rendered}"


@env.task(retries=1, links=(Page(),))
async def stumble() -> int:
    if flyte.ctx().attempt_number == 0:
        raise ValueError("the first try fails")
    return 2


@env.task
async def watch_it_stumble() -> int:
    return await stumble()
