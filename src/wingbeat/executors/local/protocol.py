"""Messages between executor, agent and zygotes: one JSON object a line, and the shape values have in it."""

import json
from asyncio import StreamReader
from datetime import datetime
from typing import Any

from wingbeat.core.launch import ExecutionPhase, ExitReason, Launch, Status

LINE_LIMIT = 64 * 2**20
"""Bytes of the longest message; a launch carries at most the few MiB the kernel allows for argv and environment."""

Message = dict[str, Any]


def encode(message: Message) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Raises ValueError when the line was cut short."""
    return json.loads(line)


async def receive(reader: StreamReader) -> Message | None:
    """The next message, or None when the other side is gone."""
    try:
        line = await reader.readline()
    except ConnectionError:
        return None
    return decode(line) if line.endswith(b"\n") else None


def launch_to_message(launch: Launch) -> Message:
    return {
        "key": launch.key,
        "argv": list(launch.argv),
        "env": dict(launch.env),
        "image": launch.image,
        "output_prefix": launch.output_prefix,
        "grace": launch.grace,
        "labels": dict(launch.labels),
    }


def launch_from_message(message: Message) -> Launch:
    return Launch(
        key=message["key"],
        argv=tuple(message["argv"]),
        env=message["env"],
        image=message["image"],
        output_prefix=message["output_prefix"],
        grace=message["grace"],
        labels=message["labels"],
    )


def status_to_message(status: Status) -> Message:
    return {
        "key": status.key,
        "phase": status.phase,
        "reason": status.reason,
        "exit_code": status.exit_code,
        "signal": status.signal,
        "started_at": moment_to_text(status.started_at),
        "ended_at": moment_to_text(status.ended_at),
        "worker": status.worker,
        "message": status.message,
        "rev": status.rev,
    }


def status_from_message(message: Message) -> Status:
    return Status(
        key=message["key"],
        phase=ExecutionPhase(message["phase"]),
        reason=ExitReason(message["reason"]) if message["reason"] else None,
        exit_code=message["exit_code"],
        signal=message["signal"],
        started_at=moment_from_text(message["started_at"]),
        ended_at=moment_from_text(message["ended_at"]),
        worker=message["worker"],
        message=message["message"],
        rev=message["rev"],
    )


def moment_to_text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def moment_from_text(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
