from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from flyteidl2.common import identifier_pb2, phase_pb2
from flyteidl2.task import task_definition_pb2
from flyteidl2.workflow import run_definition_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.wrappers_pb2 import BoolValue

from tests.conftest import T0
from tests.planting import TRIGGER, spec, task
from wingbeat.core.action import Action, ActionType, Attempt, ErrorKind, Failure, Phase, PhaseChange, TriggerRef
from wingbeat.core.ids import ActionId, AttemptId, RunId
from wingbeat.wire import actions, times

MINUTE = timedelta(minutes=1)
ROOT = ActionId(RunId("birds", "development", "r1"), "a0")
NAMED = identifier_pb2.ActionIdentifier(
    run=identifier_pb2.RunIdentifier(org="mine", project="birds", domain="development", name="r1"), name="a0"
)
ACTION = Action(
    id=ROOT,
    parent=None,
    group="",
    type=ActionType.TASK,
    phase=Phase.QUEUED,
    attempts=1,
    cache_status=0,
    task=task().ref,
    source="RUN_SOURCE_SCHEDULE_TRIGGER",
    trigger=TriggerRef(7, TRIGGER, 3),
    created_by_subject="ada",
    input_uri="s3://in",
    output_uri=None,
    abort_reason=None,
    created_at=T0,
    updated_at=T0,
    ended_at=None,
    duration_ms=None,
    version=1,
)
QUEUED = PhaseChange(1, Phase.QUEUED, T0, "")
INITIALIZING = PhaseChange(1, Phase.INITIALIZING, T0 + MINUTE, "")
RUNNING = PhaseChange(1, Phase.RUNNING, T0 + 2 * MINUTE, "")
BEGUN = Attempt(
    id=AttemptId(ROOT, 1),
    phase=Phase.INITIALIZING,
    node="n1",
    token=1,
    output_prefix="s3://out/a0/1",
    created_at=T0 + MINUTE,
    started_at=None,
    ended_at=None,
    failure=None,
    log_uri=None,
)
STARTED = replace(BEGUN, phase=Phase.RUNNING, started_at=T0 + 2 * MINUTE)
OVER = replace(STARTED, ended_at=T0 + 3 * MINUTE)


def details(
    action: Action = ACTION,
    attempts: Sequence[Attempt] = (),
    changes: Sequence[PhaseChange] = (QUEUED,),
    serialized: bytes | None = None,
) -> run_definition_pb2.ActionDetails:
    return actions.details(
        action, named=NAMED, spec=task().spec if serialized is None else serialized, attempts=attempts, changes=changes
    )


def moment(stamp: Timestamp) -> datetime:
    return times.from_proto(stamp)


def test_an_action_that_waits_has_an_attempt_that_waits() -> None:
    message = details()
    (attempt,) = message.attempts
    assert (attempt.attempt, attempt.phase) == (1, phase_pb2.ACTION_PHASE_QUEUED)
    assert not attempt.logs_available
    assert not attempt.HasField("end_time")
    assert [transition.phase for transition in attempt.phase_transitions] == [phase_pb2.ACTION_PHASE_QUEUED]
    assert message.task.task_template.id.name == "env.fly"
    assert message.id == NAMED


def test_metadata_says_what_runs_and_why() -> None:
    metadata = details().metadata
    assert (metadata.task.id.name, metadata.task.id.version, metadata.task.task_type) == ("env.fly", "v1", "python")
    assert (metadata.task.short_name, metadata.environment_name, metadata.funtion_name) == ("fly", "env", "fly")
    assert metadata.source == run_definition_pb2.RUN_SOURCE_SCHEDULE_TRIGGER
    assert metadata.action_type == run_definition_pb2.ACTION_TYPE_TASK
    assert (metadata.trigger_name, metadata.trigger_id.name.task_name, metadata.trigger_id.revision) == (
        "daily",
        "env.fly",
        3,
    )
    assert metadata.executed_by.user.id.subject == "ada"


def test_each_phase_ends_when_the_next_begins() -> None:
    running = replace(ACTION, phase=Phase.RUNNING)
    (attempt,) = details(running, [STARTED], [QUEUED, INITIALIZING, RUNNING]).attempts
    spans = [
        (each.phase, moment(each.start_time), moment(each.end_time) if each.HasField("end_time") else None)
        for each in attempt.phase_transitions
    ]
    assert spans == [
        (Phase.QUEUED, T0, T0 + MINUTE),
        (Phase.INITIALIZING, T0 + MINUTE, T0 + 2 * MINUTE),
        (Phase.RUNNING, T0 + 2 * MINUTE, None),
    ]
    assert moment(attempt.start_time) == T0


def test_a_terminal_phase_ends_itself_and_the_history() -> None:
    ended = PhaseChange(1, Phase.SUCCEEDED, T0 + 3 * MINUTE, "")
    late = PhaseChange(1, Phase.RUNNING, T0 + 4 * MINUTE, "")
    over = replace(
        ACTION, phase=Phase.SUCCEEDED, output_uri="s3://out/a0/1", ended_at=T0 + 3 * MINUTE, duration_ms=180_000
    )
    message = details(over, [replace(OVER, phase=Phase.SUCCEEDED)], [QUEUED, ended, late])
    (attempt,) = message.attempts
    last = attempt.phase_transitions[-1]
    assert (last.phase, last.start_time) == (phase_pb2.ACTION_PHASE_SUCCEEDED, last.end_time)
    assert attempt.outputs.output_uri == "s3://out/a0/1/outputs.pb"
    assert (message.status.duration_ms, moment(message.status.end_time)) == (180_000, T0 + 3 * MINUTE)


def test_a_failed_attempt_keeps_its_error_while_the_next_one_waits() -> None:
    failure = Failure("ValueError", ErrorKind.USER, "no such bird", retryable=True)
    first = replace(OVER, phase=Phase.FAILED, failure=failure)
    again = PhaseChange(2, Phase.QUEUED, T0 + 3 * MINUTE, "")
    message = details(replace(ACTION, attempts=2), [first], [QUEUED, again])
    failed, waiting = message.attempts
    assert (failed.error_info.code, failed.error_info.message) == ("ValueError", "no such bird")
    assert failed.error_info.kind == run_definition_pb2.ErrorInfo.KIND_USER
    assert failed.logs_available
    assert (waiting.attempt, waiting.phase) == (2, phase_pb2.ACTION_PHASE_QUEUED)
    assert moment(waiting.start_time) == T0 + 3 * MINUTE
    assert message.WhichOneof("result") is None


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.TIMED_OUT])
def test_an_action_that_failed_says_why(phase: Phase) -> None:
    failure = Failure("OOM", ErrorKind.SYSTEM, "too big")
    message = details(replace(ACTION, phase=phase), [replace(OVER, phase=Phase.FAILED, failure=failure)])
    assert (message.error_info.code, message.error_info.message) == ("OOM", "too big")
    assert message.error_info.kind == run_definition_pb2.ErrorInfo.KIND_SYSTEM


def test_an_action_aborted_before_it_ran_says_so_and_has_no_logs() -> None:
    aborted = replace(ACTION, phase=Phase.ABORTED, abort_reason="enough", ended_at=T0 + MINUTE)
    message = details(aborted)
    assert message.abort_info.reason == "enough"
    (attempt,) = message.attempts
    assert (attempt.phase, attempt.logs_available) == (phase_pb2.ACTION_PHASE_ABORTED, False)
    assert moment(attempt.end_time) == T0 + MINUTE


@pytest.mark.parametrize(
    ("attempt", "expected"),
    [
        pytest.param(replace(BEGUN, phase=Phase.QUEUED), False, id="given back"),
        pytest.param(BEGUN, True, id="being prepared"),
        pytest.param(STARTED, True, id="running"),
        pytest.param(replace(OVER, phase=Phase.FAILED), True, id="over"),
        pytest.param(replace(BEGUN, phase=Phase.FAILED), False, id="over before it started"),
        pytest.param(replace(BEGUN, phase=Phase.FAILED, log_uri="s3://log"), True, id="over, with a kept log"),
    ],
)
def test_logs_can_be_followed_from_the_moment_an_attempt_is_taken(attempt: Attempt, expected: bool) -> None:
    assert details(attempts=[attempt]).attempts[0].logs_available is expected


def test_messages_of_the_history_are_shown_once_each() -> None:
    said = [replace(QUEUED, message="no cache"), replace(INITIALIZING, message="no cache"), RUNNING]
    said.append(replace(RUNNING, message="on n1"))
    (attempt,) = details(attempts=[STARTED], changes=said).attempts
    assert [(event.reason, event.message) for event in attempt.cluster_events] == [
        ("Queued", "no cache"),
        ("Running", "on n1"),
    ]


def test_links_are_filled_in_or_left_out() -> None:
    wanted = spec()
    wanted.task_template.metadata.generates_deck.CopyFrom(BoolValue(value=True))
    links = wanted.task_template.metadata.log_links
    links.add(name="logs", uri="https://logs/{{.runName}}/{{ .actionName }}/{{.podName}}?o={{.executionOrg}}")
    links.add(name="node", uri="https://logs/{{.hostname}}")
    (attempt,) = details(attempts=[STARTED], serialized=task(wanted).spec).attempts
    assert [(link.name, link.uri) for link in attempt.log_info] == [("logs", "https://logs/r1/a0/r1-a0-0?o=")]
    assert attempt.outputs.report_uri == "s3://out/a0/1/report.html"


@pytest.mark.parametrize("output_uri", ["s3://out/t1/outputs.pb", ""], ids=["with outputs", "without outputs"])
def test_a_trace_was_over_when_it_began_to_be_known(output_uri: str) -> None:
    trace = replace(ACTION, type=ActionType.TRACE, phase=Phase.SUCCEEDED, output_uri=output_uri, ended_at=T0 + MINUTE)
    made = replace(BEGUN, phase=Phase.SUCCEEDED, output_prefix="s3://out/t1", created_at=T0, ended_at=T0 + MINUTE)
    spec = task_definition_pb2.TraceSpec()
    (attempt,) = details(trace, [made], changes=[], serialized=spec.SerializeToString()).attempts
    assert (moment(attempt.start_time), moment(attempt.end_time)) == (T0, T0 + MINUTE)
    assert attempt.outputs.output_uri == output_uri
    assert not attempt.logs_available
    assert not attempt.phase_transitions
