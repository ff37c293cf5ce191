from dataclasses import replace
from datetime import timedelta

import pytest
from flyteidl2.core import literals_pb2, tasks_pb2
from flyteidl2.task import run_pb2, task_definition_pb2
from google.protobuf.duration_pb2 import Duration

from tests.conftest import T0
from tests.queued_runs import run_of, task_spec
from wingbeat.core.action import Action, ActionType, Attempt, Failure, Phase
from wingbeat.core.ids import ActionId, AttemptId
from wingbeat.core.launch import output_prefix
from wingbeat.core.retry import LONGEST, Backoff, RetryPolicy
from wingbeat.core.run import Run
from wingbeat.wire.launch import LaunchSettings, S3Access, Template, Templates, code_bundle, launch_of, parse

RUN = run_of("r1", task_spec())
SETTINGS = LaunchSettings("127.0.0.1:8080", insecure=True, s3=S3Access("http://h/s3", "key", "secret", "us-east-1"))


def template(spec: bytes) -> Template:
    parsed = parse(spec)
    assert isinstance(parsed, Template), parsed
    return parsed


def action_of(run: Run) -> Action:
    return Action(
        id=ActionId(run.id, "a0"), parent=None, group="", type=ActionType.TASK, phase=Phase.INITIALIZING, attempts=1,
        cache_status=0, task=run.task, source=run.source, trigger=None, created_by_subject="", input_uri=run.input_uri,
        output_uri=None, abort_reason=None, created_at=T0, updated_at=T0, ended_at=None, duration_ms=None, version=1,
    )  # fmt: skip


def attempt_of(run: Run, number: int) -> Attempt:
    attempt = AttemptId(ActionId(run.id, "a0"), number)
    prefix = output_prefix(run.output_base, attempt)
    return Attempt(attempt, Phase.INITIALIZING, "n1", 1, prefix, T0, None, None, None, None)


def launch(
    spec: bytes, run: Run = RUN, number: int = 1, settings: LaunchSettings = SETTINGS, checkpoint: str | None = None
):
    return launch_of(template(spec), action_of(run), run, attempt_of(run, number), settings, checkpoint=checkpoint)


def test_the_command_line_is_the_runtimes_own() -> None:
    base = "s3://wingbeat/p/development/r1"
    assert launch(task_spec()).argv == (
        "a0", "--inputs", f"{base}/inputs/inputs.pb", "--outputs-path", f"{base}/a0/1", "--version", "v1",
        "--raw-data-path", f"{base}/a0/1/raw", "--checkpoint-path", f"{base}/a0/1/_flytecheckpoints",
        "--prev-checkpoint", '""', "--run-name", "r1", "--name", "a0",
        "--run-start-time", "2026-01-01T00:00:01Z", "--tgz", "s3://code/bundle.tgz", "--dest", ".",
    )  # fmt: skip


def test_a_later_attempt_finds_what_an_earlier_one_has_saved() -> None:
    argv = launch(task_spec(), number=2, checkpoint="s3://wingbeat/p/development/r1/a0/1/_flytecheckpoints").argv
    assert "s3://wingbeat/p/development/r1/a0/1/_flytecheckpoints" in argv
    assert "s3://wingbeat/p/development/r1/a0/2/_flytecheckpoints" in argv


def test_a_run_without_start_time_leaves_its_template_alone() -> None:
    assert "{{.runStartTime}}" in launch(task_spec(), replace(RUN, start_time=None)).argv


def test_raw_data_goes_where_the_run_wants_it_and_never_to_the_place_of_another_attempt() -> None:
    spec = run_pb2.RunSpec(raw_data_storage=run_pb2.RawDataStorage(raw_data_prefix="s3://big/"))
    argv = launch(task_spec(), replace(RUN, run_spec=spec.SerializeToString())).argv
    assert "s3://big/p/development/r1/a0/1/raw" in argv


def test_the_environment_tells_the_runtime_who_and_where_it_is() -> None:
    env = launch(task_spec(), number=3).env
    assert {
        "ACTION_NAME": "a0",
        "RUN_NAME": "r1",
        "_U_ORG_NAME": "local",
        "_U_RUN_BASE": "s3://wingbeat/p/development/r1",
        "_U_EP_OVERRIDE": "127.0.0.1:8080",
        "_U_INSECURE": "true",
        "_U_USE_ACTIONS": "1",
        "_F_PN": "r1-a0-2",
        "FLYTE_ATTEMPT_NUMBER": "2",
        "FLYTE_AWS_ENDPOINT": "http://h/s3",
        "FLYTE_AWS_ACCESS_KEY_ID": "key",
        "FLYTE_AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "FLYTE_INTERNAL_EXECUTION_ID": "r1",
        "FLYTE_INTERNAL_EXECUTION_PROJECT": "p",
        "FLYTE_INTERNAL_EXECUTION_DOMAIN": "development",
        "FLYTE_INTERNAL_TASK_PROJECT": "p",
        "FLYTE_INTERNAL_TASK_DOMAIN": "development",
        "FLYTE_INTERNAL_TASK_NAME": "env.f",
        "FLYTE_INTERNAL_TASK_VERSION": "v1",
    }.items() <= env.items()


def test_the_run_wins_over_the_task_and_nobody_over_the_identity() -> None:
    pairs = {"LEVEL": "run", "RUN_NAME": "evil", "_U_EP_OVERRIDE": "evil"}
    envs = run_pb2.Envs(values=[literals_pb2.KeyValuePair(key=key, value=value) for key, value in pairs.items()])
    run = replace(RUN, run_spec=run_pb2.RunSpec(envs=envs).SerializeToString())
    settings = replace(SETTINGS, env={"LEVEL": "server", "TASK": "server", "FLYTE_DISABLE_SENTRY": "0"})
    env = launch(task_spec(env={"LEVEL": "task", "TASK": "task", "ACTION_NAME": "evil"}), run, settings=settings).env
    assert (env["LEVEL"], env["TASK"], env["FLYTE_DISABLE_SENTRY"]) == ("run", "task", "0")
    assert (env["ACTION_NAME"], env["RUN_NAME"], env["_U_EP_OVERRIDE"]) == ("a0", "r1", "127.0.0.1:8080")


def test_without_an_endpoint_of_its_own_the_blob_store_is_what_the_node_knows() -> None:
    env = launch(task_spec(), settings=LaunchSettings("h:443", insecure=False)).env
    assert not {"FLYTE_AWS_ENDPOINT", "AWS_REGION", "_U_INSECURE"} & env.keys()


@pytest.mark.parametrize("kind", ["python", "actor", "python-task"])
def test_python_tasks_run(kind: str) -> None:
    assert template(task_spec(kind)).image == "img"


@pytest.mark.parametrize("kind", ["python", "spark"])
def test_the_code_of_a_task_is_what_its_command_line_names(kind: str) -> None:
    assert code_bundle(task_spec(kind)) == "s3://code/bundle.tgz"


def test_code_may_be_in_the_image() -> None:
    assert code_bundle(b"") is None


@pytest.mark.parametrize("kind", ["raw-container", "spark", "core-sleep", ""])
def test_other_tasks_fail_and_say_what_is_supported(kind: str) -> None:
    failure = parse(task_spec(kind))
    assert isinstance(failure, Failure)
    assert failure.code == "UnsupportedTaskType"
    assert not failure.retryable
    assert repr(kind) in failure.message
    assert "TaskEnvironment" in failure.message


def test_a_pod_template_needs_kubernetes() -> None:
    task = tasks_pb2.TaskTemplate(type="python", k8s_pod=tasks_pb2.K8sPod())
    failure = parse(task_definition_pb2.TaskSpec(task_template=task).SerializeToString())
    assert isinstance(failure, Failure)
    assert "pod template" in failure.message


@pytest.mark.parametrize("spec", [b"\xff\xff", task_definition_pb2.TaskSpec().SerializeToString()])
def test_a_bad_spec_fails_the_action(spec: bytes) -> None:
    assert isinstance(parse(spec), Failure)


def test_retries_are_the_tasks() -> None:
    backoff = literals_pb2.Backoff(base=Duration(seconds=2), factor=1.5, cap=Duration(seconds=9))
    parsed = template(retried(backoff))
    assert parsed.retries == RetryPolicy(4, Backoff(timedelta(seconds=2), 1.5, timedelta(seconds=9)))


@pytest.mark.parametrize(
    ("backoff", "named"),
    [
        *((literals_pb2.Backoff(factor=factor), "factor") for factor in (float("nan"), float("inf"), -1.0)),
        (literals_pb2.Backoff(base=Duration(seconds=-1)), "from -1 s"),
        (literals_pb2.Backoff(base=Duration(seconds=1), cap=Duration(seconds=-(2**62))), "below zero"),
    ],
)
def test_a_back_off_that_cannot_be_is_refused_before_anything_is_tried(
    backoff: literals_pb2.Backoff, named: str
) -> None:
    failure = parse(retried(backoff))
    assert isinstance(failure, Failure)
    assert named in failure.message


def test_a_back_off_longer_than_any_clock_runs_is_the_longest() -> None:
    wait = Duration(seconds=2**62)
    policy = template(retried(literals_pb2.Backoff(base=wait, cap=wait))).retries
    assert policy.backoff is not None
    assert policy.backoff.delay(3) == LONGEST


def retried(backoff: literals_pb2.Backoff) -> bytes:
    task = tasks_pb2.TaskTemplate(type="python", container=tasks_pb2.Container(args=["a0"]))
    task.metadata.retries.CopyFrom(literals_pb2.RetryStrategy(retries=4, backoff=backoff))
    return task_definition_pb2.TaskSpec(task_template=task).SerializeToString()


def test_templates_forget_the_least_recently_used() -> None:
    templates = Templates(size=2)
    templates.add("a", task_spec())
    templates.add("b", task_spec())
    assert templates.find("a")
    templates.add("c", task_spec())
    assert [bool(templates.find(digest)) for digest in "abc"] == [True, False, True]
