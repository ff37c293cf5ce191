"""What earlier attempts have saved of their work: an attempt that died before it saved anything hides nothing."""

from wingbeat.blobs.store import Blobs
from wingbeat.core.ids import AttemptId
from wingbeat.core.launch import output_prefix
from wingbeat.core.run import Run
from wingbeat.wire.launch import checkpoint_of


async def latest(blobs: Blobs, run: Run, attempt: AttemptId) -> str | None:
    """The URI of the checkpoint of the latest attempt before `attempt` that has one. Raises Unavailable."""
    for number in range(attempt.number - 1, 0, -1):
        uri = checkpoint_of(output_prefix(run.output_base, AttemptId(attempt.action, number)))
        if await _is_there(blobs, uri):
            return uri
    return None


async def _is_there(blobs: Blobs, uri: str) -> bool:
    """The SDK saves one object of this name; tasks may also save several below it."""
    async for blob in blobs.list(blobs.key(uri)):
        return bool(blob.key)
    return False
