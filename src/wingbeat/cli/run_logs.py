"""The log of an attempt in the terminal, as it is written."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import datetime

import rich_click as click
from flyteidl2.dataproxy import dataproxy_service_pb2 as pb
from flyteidl2.logs.dataplane.payload_pb2 import LogLine

from wingbeat.cli import run_calls
from wingbeat.cli.client import connected
from wingbeat.cli.target import Target
from wingbeat.clock import system_clock
from wingbeat.errors import NotFound
from wingbeat.rpc.streams import closing
from wingbeat.wire import times

QUIET_SECONDS = 2.0
"""When the log of a running attempt says nothing for so long, all that was there has been read."""


async def print_log(target: Target, run: str, action: str, *, attempt: int | None, follow: bool) -> None:
    """Of the latest attempt when `attempt` is None. Raises NotFound."""
    now = system_clock()
    async with connected(target) as api:
        details = await run_calls.action_details(api, run, action)
        number = attempt or details.status.attempts
        if number > details.status.attempts:
            raise NotFound(
                f"action {action!r} of run {run!r} has no attempt {number}: the latest is {details.status.attempts}"
            )
        over = any(each.attempt == number and each.HasField("end_time") for each in details.attempts)
        request = pb.TailLogsRequest(action_id=run_calls.action_id(target, run, action), attempt=number)
        async with closing(api.data.tail_logs(request)) as messages:
            lines = _lines(messages) if follow or over else _written_before(now, _lines(messages))
            async with closing(lines):
                async for line in lines:
                    click.echo(line.message, nl=False)


async def _lines(messages: AsyncIterator[pb.TailLogsResponse]) -> AsyncGenerator[LogLine]:
    async for message in messages:
        for part in message.logs:
            for line in part.lines:
                yield line


async def _written_before(now: datetime, lines: AsyncGenerator[LogLine]) -> AsyncGenerator[LogLine]:
    """Until a line is later than `now`, or none comes. Where even the first one is later, clocks differ."""
    clocks_agree = False
    while True:
        try:
            async with asyncio.timeout(QUIET_SECONDS):
                line = await anext(lines)
        except (StopAsyncIteration, TimeoutError):
            return
        later = line.HasField("timestamp") and times.from_proto(line.timestamp) > now
        if later and clocks_agree:
            return
        clocks_agree = clocks_agree or not later
        yield line
