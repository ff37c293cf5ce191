import flyte
import pytest
from flyte._internal.runtime.trigger_serde import to_task_trigger
from flyteidl2.core import interface_pb2
from flyteidl2.task import common_pb2, task_definition_pb2
from flyteidl2.trigger import trigger_definition_pb2, trigger_service_pb2

from tests.deployed import TASK, trigger
from tests.planting import trigger as as_stored
from wingbeat.core.cron import Cron, DstGap
from wingbeat.core.policy import DEFAULTS, Overlap
from wingbeat.errors import InvalidArgument
from wingbeat.wire import triggers

CRON = common_pb2.Schedule(cron=common_pb2.Cron(expression="30 2 * * *", timezone="Europe/Berlin"))
RATE = common_pb2.Schedule(rate=common_pb2.FixedRate(value=5, unit=common_pb2.FIXED_RATE_UNIT_MINUTE))


def request(
    annotations: dict[str, str], schedule: common_pb2.Schedule = CRON
) -> trigger_service_pb2.DeployTriggerRequest:
    spec = trigger_definition_pb2.TriggerSpec(task_version="v1", active=True)
    spec.run_spec.annotations.values.update(annotations)
    return trigger_service_pb2.DeployTriggerRequest(
        name={"name": "tick"}, spec=spec, automation_spec={"schedule": schedule}
    )


def test_annotations_of_the_run_spec_say_policies() -> None:
    deployment = triggers.deployment(request({"wingbeat/overlap": "skip", "wingbeat/dst-gap": "shift", "team": "x"}))
    assert deployment.policies.overlap is Overlap.SKIP
    assert isinstance(deployment.schedule, Cron)
    assert deployment.schedule.dst_gap is DstGap.SHIFT


@pytest.mark.parametrize("uri", ["s3://b/i", "s3://b/i/", "s3://b/i/inputs.pb"])
def test_uploaded_inputs_are_named_as_a_file(uri: str) -> None:
    """The SDK reads them at this very address."""
    wanted = request({})
    wanted.spec.offloaded_input_data.uri = uri
    shown = triggers.details(as_stored(triggers.deployment(wanted)))
    assert shown.spec.offloaded_input_data.uri == "s3://b/i/inputs.pb"


def test_annotations_of_others_are_not_ours() -> None:
    assert triggers.deployment(request({"team": "x"})).policies == DEFAULTS


def test_policies_of_a_trigger_that_comes_with_its_task() -> None:
    spec = task_definition_pb2.TaskTriggerSpec(active=True)
    spec.run_spec.annotations.values["wingbeat/max-runs"] = "7"
    with_task = task_definition_pb2.TaskTrigger(name="tick", spec=spec, automation_spec={"schedule": CRON})
    assert triggers.task_trigger(TASK, with_task).policies.max_runs == 7


async def test_the_annotations_of_the_stock_sdk_arrive() -> None:
    written = flyte.Trigger("tick", flyte.Cron("0 * * * *"), annotations={"wingbeat/overlap": "skip"})
    sent = await to_task_trigger(written, TASK.name, interface_pb2.VariableMap(), [])
    assert triggers.task_trigger(TASK, sent).policies.overlap is Overlap.SKIP


def test_policies_stay_in_the_spec_that_a_revision_keeps() -> None:
    deployment = triggers.deployment(request({"wingbeat/overlap": "skip"}))
    kept = trigger_definition_pb2.TriggerSpec.FromString(deployment.spec)
    assert dict(kept.run_spec.annotations.values) == {"wingbeat/overlap": "skip"}


@pytest.mark.parametrize(
    ("annotations", "words"),
    [
        ({"wingbeat/overlap": "sometimes"}, "trigger 'tick'.*wingbeat/overlap.*'sometimes'.*buffer-one"),
        ({"wingbeat/cron": "x"}, "trigger 'tick'.*wingbeat/cron.*unknown"),
    ],
)
def test_a_bad_policy_names_the_trigger_the_key_and_the_value(annotations: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        triggers.deployment(request(annotations))


def test_changes_of_the_clock_mean_nothing_to_an_interval() -> None:
    with pytest.raises(InvalidArgument, match=r"trigger 'tick'.*dst-gap.*cron"):
        triggers.deployment(request({"wingbeat/dst-gap": "next"}, RATE))


def test_a_trigger_without_policies_has_the_defaults() -> None:
    assert trigger().policies is DEFAULTS
