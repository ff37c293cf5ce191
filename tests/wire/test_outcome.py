import pytest
from flyteidl2.core import execution_pb2

from wingbeat.core.action import ErrorKind, Failure, Outcome, Success
from wingbeat.core.launch import ExecutionPhase, ExitReason, Status
from wingbeat.wire.outcome import outcome_of


def document(origin: str = "USER", *, recoverable: bool = True, code: str = "ValueError") -> bytes:
    kind = "RECOVERABLE" if recoverable else "NON_RECOVERABLE"
    error = execution_pb2.ContainerError(code=code, message="no", kind=kind, origin=origin)
    return execution_pb2.ErrorDocument(error=error).SerializeToString()


def ended(reason: ExitReason | None, **fields: object) -> Status:
    return Status("p/d/r/a0/1", ExecutionPhase.EXITED, reason, **fields)  # pyright: ignore


COMPLETED = ended(ExitReason.COMPLETED, exit_code=0)
CRASHED = ended(ExitReason.ERROR, exit_code=7)


@pytest.mark.parametrize(
    ("status", "has_outputs", "error", "outcome"),
    [
        pytest.param(COMPLETED, True, None, Success(), id="outputs: succeeded"),
        pytest.param(CRASHED, True, None, Success(), id="outputs, then a crash: succeeded"),
        pytest.param(ended(ExitReason.LOST), True, None, Success(), id="outputs, and nobody saw the end: succeeded"),
        pytest.param(
            COMPLETED, False, document(), Failure("ValueError", ErrorKind.USER, "no", retryable=True),
            id="the runtime reports an exception and exits with 0",
        ),
        pytest.param(
            CRASHED, False, document(recoverable=False), Failure("ValueError", ErrorKind.USER, "no"),
            id="an error that is final",
        ),
        pytest.param(
            COMPLETED, True, document(), Failure("ValueError", ErrorKind.USER, "no", retryable=True),
            id="an error beside outputs: failed",
        ),
        pytest.param(
            COMPLETED, False, document("SYSTEM"), Failure("ValueError", ErrorKind.SYSTEM, "no", retryable=True),
            id="an error of the runtime's own",
        ),
        pytest.param(
            COMPLETED, False, document("UNKNOWN"),
            Failure("ValueError", ErrorKind.UNSPECIFIED, "no", retryable=True),
            id="an error of unknown origin",
        ),
        pytest.param(
            COMPLETED, False, document("UNKNOWN", code="GenericError"),
            Failure("GenericError", ErrorKind.SYSTEM, "no", retryable=True),
            id="the runtime did not reach the storage: nobody's fault",
        ),
        pytest.param(
            COMPLETED, False, document("USER", code="GenericError"),
            Failure("GenericError", ErrorKind.USER, "no", retryable=True),
            id="the task's code did not reach a storage of its own: its business",
        ),
    ],
)  # fmt: skip
def test_documents_decide(status: Status, has_outputs: bool, error: bytes | None, outcome: Outcome) -> None:
    assert outcome_of(status, has_outputs=has_outputs, error_document=error) == outcome


@pytest.mark.parametrize(
    ("status", "code", "kind", "retryable"),
    [
        pytest.param(COMPLETED, "Unknown", ErrorKind.SYSTEM, True, id="exit code 0 and nothing written"),
        pytest.param(CRASHED, "Unknown", ErrorKind.SYSTEM, True, id="another exit code and nothing written"),
        pytest.param(ended(ExitReason.SIGNAL, signal=15), "Interrupted", ErrorKind.SYSTEM, True, id="a signal"),
        pytest.param(ended(ExitReason.OOM), "OOMKilled", ErrorKind.USER, True, id="out of memory"),
        pytest.param(ended(ExitReason.ABORTED), "Interrupted", ErrorKind.SYSTEM, True, id="stopped by the node"),
        pytest.param(ended(ExitReason.LOST), "Interrupted", ErrorKind.SYSTEM, True, id="lost"),
        pytest.param(ended(None), "Interrupted", ErrorKind.SYSTEM, True, id="no reason known"),
        pytest.param(ended(ExitReason.START_FAILED), "StartFailed", ErrorKind.SYSTEM, True, id="not started"),
        pytest.param(ended(ExitReason.INVALID_IMAGE), "InvalidImageName", ErrorKind.USER, False, id="no such image"),
    ],
)
def test_without_documents_the_process_decides(status: Status, code: str, kind: ErrorKind, retryable: bool) -> None:
    failure = outcome_of(status, has_outputs=False, error_document=None)
    assert isinstance(failure, Failure)
    assert (failure.code, failure.kind, failure.retryable) == (code, kind, retryable)


def test_the_executors_words_reach_the_user() -> None:
    failure = outcome_of(ended(ExitReason.INVALID_IMAGE, message="install x"), has_outputs=False, error_document=None)
    assert isinstance(failure, Failure)
    assert failure.message == "install x"


def test_an_error_document_that_cannot_be_read_is_a_failure_of_the_system() -> None:
    failure = outcome_of(COMPLETED, has_outputs=True, error_document=b"\xff\xff")
    assert isinstance(failure, Failure)
    assert failure.kind is ErrorKind.SYSTEM
    assert failure.retryable
