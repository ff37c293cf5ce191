"""What an attempt's end means: how its process ended, and what it left at its output prefix.

The documents decide before the exit code does: the SDK's runtime writes error.pb and exits with 0.
"""

from typing import Final

from flyteidl2.core import execution_pb2
from google.protobuf.message import DecodeError

from wingbeat.core.action import ErrorKind, Failure, Outcome, Success
from wingbeat.core.launch import ExitReason, Status
from wingbeat.core.retry import INTERRUPTED

# The SDK picks the exception that a parent sees by these words.
OOM_KILLED: Final = "OOMKilled"
INVALID_IMAGE: Final = "InvalidImageName"
UNKNOWN: Final = "Unknown"
START_FAILED: Final = "StartFailed"
BAD_ERROR_DOCUMENT: Final = "MalformedErrorDocument"
STORAGE_AWAY: Final = "GenericError"
"""obstore's exception for requests that were never answered, after all the retries that the SDK allows it."""

MAX_ERROR_BYTES = 10 * 1024 * 1024
"""Of error.pb: far more than any message that people read."""

_KINDS = {
    execution_pb2.ExecutionError.USER: ErrorKind.USER,
    execution_pb2.ExecutionError.SYSTEM: ErrorKind.SYSTEM,
}


def outcome_of(status: Status, *, has_outputs: bool, error_document: bytes | None) -> Outcome:
    """`error_document` is the content of error.pb, None if there is none."""
    if error_document is not None:
        return reported(error_document)
    if has_outputs:
        return Success()
    return _unreported(status)


def reported(document: bytes) -> Failure:
    """What a serialized flyteidl2.core.ErrorDocument says."""
    try:
        error = execution_pb2.ErrorDocument.FromString(document).error
    except DecodeError:
        message = "the attempt failed, and its error.pb is no error document"
        return Failure(BAD_ERROR_DOCUMENT, ErrorKind.SYSTEM, message, retryable=True)
    return Failure(
        code=error.code or UNKNOWN,
        kind=_kind(error),
        message=error.message or "the task failed and gave no message",
        retryable=error.kind == execution_pb2.ContainerError.RECOVERABLE,
    )


def unread(why: str) -> Failure:
    """There is an error.pb, and for this reason nobody knows what it says."""
    message = f"the attempt failed, and its error.pb was not read: {why}"
    return Failure(BAD_ERROR_DOCUMENT, ErrorKind.SYSTEM, message, retryable=True)


def _kind(error: execution_pb2.ContainerError) -> ErrorKind:
    known = _KINDS.get(error.origin)
    if known is not None:
        return known
    # It did not come from the task's code: the runtime itself did not reach the storage, while we were away perhaps.
    return ErrorKind.SYSTEM if error.code == STORAGE_AWAY else ErrorKind.UNSPECIFIED


def _unreported(status: Status) -> Failure:
    """The process ended without a word: all there is is how."""
    match status.reason:
        case ExitReason.OOM:
            message = status.message or "the task used more memory than it may"
            return Failure(OOM_KILLED, ErrorKind.USER, message, retryable=True)
        case ExitReason.INVALID_IMAGE:
            return Failure(INVALID_IMAGE, ErrorKind.USER, status.message)
        case ExitReason.START_FAILED:
            return _system(START_FAILED, "the attempt could not be started", status)
        case ExitReason.SIGNAL:
            return _system(INTERRUPTED, f"the task's process was ended by signal {status.signal}", status)
        case ExitReason.ABORTED:
            return _system(INTERRUPTED, "the task's process was stopped", status)
        case ExitReason.ERROR:
            return _system(UNKNOWN, f"the task's process ended with exit code {status.exit_code} and no error", status)
        case ExitReason.COMPLETED:
            return _system(UNKNOWN, "the task's process ended without writing outputs or an error", status)
        case ExitReason.LOST | None:
            return _system(INTERRUPTED, "the attempt was lost: nobody saw how its process ended", status)


def _system(code: str, message: str, status: Status) -> Failure:
    text = f"{message}: {status.message}" if status.message else message
    return Failure(code, ErrorKind.SYSTEM, text, retryable=True)
