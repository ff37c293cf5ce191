"""The API as a command calls it. Every failure is one of our errors: one line for whoever sits at the terminal."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.request import RequestContext
from flyteidl2.common import list_pb2
from flyteidl2.dataproxy.dataproxy_service_connect import DataProxyServiceClient
from flyteidl2.task.task_service_connect import TaskServiceClient
from flyteidl2.trigger.trigger_service_connect import TriggerServiceClient
from flyteidl2.workflow.run_service_connect import RunServiceClient

from wingbeat._generated.automation.v1.automation_connect import AutomationServiceClient
from wingbeat._generated.retention.v1.retention_connect import RetentionServiceClient
from wingbeat.cli.target import Target, no_answer
from wingbeat.errors import NotFound, Unavailable, WingbeatError
from wingbeat.rpc.errors import CODES
from wingbeat.rpc.streams import closing

REQ = TypeVar("REQ")
RES = TypeVar("RES")
Item = TypeVar("Item")

CALL_SECONDS = 30
PAGE = 200
"""The most items that a server gives at once."""

_KINDS = {code: kind for kind, code in CODES.items()}


@dataclass(frozen=True, slots=True)
class Api:
    target: Target
    runs: RunServiceClient
    data: DataProxyServiceClient
    tasks: TaskServiceClient
    triggers: TriggerServiceClient
    automation: AutomationServiceClient
    retention: RetentionServiceClient


@asynccontextmanager
async def connected(target: Target) -> AsyncGenerator[Api]:
    """The calls raise WingbeatError: NotFound, Unavailable when no server answers, and what else it answers."""
    plainly = [_Plainly(target)]
    async with (
        RunServiceClient(target.url, interceptors=plainly) as runs,
        DataProxyServiceClient(target.url, interceptors=plainly) as data,
        TaskServiceClient(target.url, interceptors=plainly) as tasks,
        TriggerServiceClient(target.url, interceptors=plainly) as triggers,
        AutomationServiceClient(target.url, interceptors=plainly) as automation,
        RetentionServiceClient(target.url, interceptors=plainly) as retention,
    ):
        yield Api(target, runs, data, tasks, triggers, automation, retention)


async def pages(
    fetch: Callable[[list_pb2.ListRequest], Awaitable[tuple[Sequence[Item], str]]],
    request: list_pb2.ListRequest,
    *,
    limit: int | None = None,
) -> tuple[list[Item], bool]:
    """The first `limit` items or all of them, and whether there are more. `fetch` gives a page and the next token."""
    items: list[Item] = []
    page = list_pb2.ListRequest()
    page.CopyFrom(request)
    while True:
        page.limit = PAGE if limit is None else min(PAGE, limit - len(items))
        found, page.token = await fetch(page)
        items.extend(found)
        if not page.token or len(items) == limit:
            return items, bool(page.token)


class _Plainly:
    """Interceptor: shows who calls, says in our words what went wrong, and gives a call that is not answered up."""

    def __init__(self, target: Target) -> None:
        self._target = target

    async def intercept_unary(
        self,
        call_next: Callable[[REQ, RequestContext[REQ, RES]], Awaitable[RES]],
        request: REQ,
        ctx: RequestContext[REQ, RES],
    ) -> RES:
        self._show_token(ctx)
        try:
            async with asyncio.timeout(CALL_SECONDS):
                with self._in_our_words():
                    return await call_next(request, ctx)
        except TimeoutError as error:
            raise no_answer(self._target.url, f"nothing within {CALL_SECONDS} s") from error

    async def intercept_server_stream(
        self,
        call_next: Callable[[REQ, RequestContext[REQ, RES]], AsyncIterator[RES]],
        request: REQ,
        ctx: RequestContext[REQ, RES],
    ) -> AsyncIterator[RES]:
        self._show_token(ctx)
        with self._in_our_words():
            async with closing(call_next(request, ctx)) as stream:
                async for message in stream:
                    yield message

    def _show_token(self, ctx: RequestContext[REQ, RES]) -> None:
        if self._target.token:
            ctx.request_headers()["authorization"] = f"Bearer {self._target.token}"

    @contextmanager
    def _in_our_words(self) -> Generator[None]:
        try:
            yield
        except ConnectError as error:
            task = asyncio.current_task()
            if error.code is Code.CANCELED and task is not None and task.cancelling():
                # connectrpc makes an error of it, and neither Ctrl-C nor a time-out would get through.
                raise asyncio.CancelledError from error
            raise self._told(error) from error

    def _told(self, error: ConnectError) -> WingbeatError:
        said = " ".join(error.message.split())
        match error.code:
            case Code.UNAVAILABLE:
                return no_answer(self._target.url, said.rpartition(": ")[2] or said)
            case Code.NOT_FOUND:
                return NotFound(
                    f"{said}; looked in {self._target.scope} at {self._target.url}:"
                    " --project, --domain and --url look elsewhere"
                )
            case code if code in _KINDS:
                return _KINDS[code](said)
            case code:
                return Unavailable(f"{self._target.url} failed: {said or code.value}; the server's log says why")
