"""Planning a run: what comes from the trigger, the caller and the task, and where everything goes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from flyteidl2.core import tasks_pb2
from flyteidl2.task import run_pb2
from google.protobuf.wrappers_pb2 import BoolValue
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import T0
from tests.planting import (
    DEFAULTS,
    NEW_SDK,
    OLD_SDK,
    context,
    deployment,
    inputs,
    order,
    spec,
    trigger,
    values,
)
from wingbeat.core.ids import Scope
from wingbeat.core.run import Run
from wingbeat.errors import InvalidArgument
from wingbeat.operations.planning import RunDefaults, RunOrder, plan
from wingbeat.wire.inputs import KICKOFF_KEY
from wingbeat.wire.runs import Uploaded

SLOT = T0 - timedelta(minutes=3)


def planned(wanted: RunOrder, name: str = "r1") -> Run:
    return plan(wanted, defaults=DEFAULTS, now=T0, name=name)


@pytest.mark.parametrize("name", ["", "a.b", "1a", "Run", "a_b", "-a", "a-", "a" * 31, "offloaded-inputs"])
def test_a_run_cannot_be_named_anything(name: str) -> None:
    with pytest.raises(InvalidArgument, match="run name"):
        planned(order(), name=name)


def test_a_run_has_a_directory_of_its_own() -> None:
    run = planned(order())
    assert run.output_base == "s3://wingbeat/birds/development/r1/"
    assert run.input_uri == "s3://wingbeat/birds/development/r1/inputs"
    assert run_pb2.RunSpec.FromString(run.run_spec).raw_data_storage.raw_data_prefix == "s3://wingbeat"


@pytest.mark.parametrize(
    ("base_dir", "base"),
    [
        pytest.param("s3://other/runs", "s3://other/runs", id="an allowed one"),
        pytest.param("s3://other/runs/mine/", "s3://other/runs/mine", id="in an allowed one"),
        pytest.param("s3://other/runs/uploads2", "s3://other/runs/uploads2", id="only beginning like uploads"),
        pytest.param("s3://wingbeat", "s3://wingbeat", id="the default itself"),
        pytest.param("s3://other/runs-of-others", "s3://wingbeat", id="only beginning like an allowed one"),
        pytest.param("s3://elsewhere", "s3://wingbeat", id="elsewhere"),
    ],
)
def test_a_base_is_used_where_it_is_allowed_and_otherwise_the_run_says_so(base_dir: str, base: str) -> None:
    run = planned(replace(order(), run_spec=run_pb2.RunSpec(run_base_dir=base_dir).SerializeToString()))
    assert run.output_base == f"{base}/birds/development/r1/"
    assert any("run_base_dir" in words for words in run.not_honoured) == (base != base_dir.rstrip("/"))


STORAGE = RunDefaults("s3://bucket/x/runs", allowed_bases=("s3://bucket/x",), domains=frozenset({"development", "qa"}))


@pytest.mark.parametrize(
    ("base_dir", "project"),
    [
        pytest.param("s3://bucket/x/runs/p/development/r1", "p", id="the directory of a run"),
        pytest.param("s3://bucket/x/runs/p", "p", id="below the default"),
        pytest.param("s3://bucket/x/mine/p/development/r1", "p", id="the directory of a run in another base"),
        pytest.param("s3://bucket/x/mine/p/qa", "p", id="above the directory of a run in another base"),
        pytest.param("s3://bucket/x/mine/p", "qa", id="a project that could be the domain of a run in another base"),
        pytest.param("s3://bucket/x/uploads", "p", id="where uploads are"),
        pytest.param("s3://bucket/x/uploads/p", "p", id="among uploads"),
        pytest.param("s3://bucket/x", "uploads", id="a project that is called like the folder of uploads"),
        pytest.param("s3://bucket/x", "runs", id="a project that is called like the folder of runs"),
        pytest.param("s3://bucket/x/..", "p", id="out of the storage"),
        pytest.param("s3://bucket/x/../secrets", "p", id="elsewhere by way of the storage"),
        pytest.param("s3://bucket/x//mine", "p", id="a folder without a name"),
    ],
)
def test_a_run_has_no_directory_in_that_of_another_run_or_of_an_upload(base_dir: str, project: str) -> None:
    asked = run_pb2.RunSpec(run_base_dir=base_dir).SerializeToString()
    wanted = replace(order(), scope=Scope(project, "development"), run_spec=asked)
    with pytest.raises(InvalidArgument, match=r"run_spec\.run_base_dir '.*the base is 's3://bucket/x/runs', or ") as e:
        plan(wanted, defaults=STORAGE, now=T0, name="r2")
    assert repr(base_dir) in str(e.value)


@pytest.mark.parametrize(
    "base_dir",
    ["", "s3://bucket/x", "s3://bucket/x/runs/", "s3://bucket/x/mine", "s3://bucket/x/metadata/outputs"],
)
def test_a_base_is_the_storage_the_default_or_a_folder_of_the_storage(base_dir: str) -> None:
    asked = run_pb2.RunSpec(run_base_dir=base_dir).SerializeToString()
    run = plan(replace(order(), run_spec=asked), defaults=STORAGE, now=T0, name="r2")
    assert run.output_base == f"{base_dir.rstrip('/') or STORAGE.base}/birds/development/r2/"
    assert run.not_honoured == ()


def test_raw_data_goes_where_the_caller_says() -> None:
    asked = run_pb2.RunSpec(raw_data_storage=run_pb2.RawDataStorage(raw_data_prefix="s3://raw"))
    run = planned(replace(order(), run_spec=asked.SerializeToString()))
    assert run_pb2.RunSpec.FromString(run.run_spec).raw_data_storage.raw_data_prefix == "s3://raw"


@pytest.mark.parametrize(
    ("sdk", "expected"),
    [
        ("2.3.6", SLOT),
        ("v2.3.6rc1", SLOT),
        ("2.12.1", SLOT),
        ("10.0.0", SLOT),
        ("2.3.5", None),
        ("1.99.99", None),
        ("", None),
        ("unknown", None),
    ],
)
def test_tasks_of_new_sdks_are_told_what_time_they_are_meant_for(sdk: str, expected: datetime | None) -> None:
    run = planned(replace(order(spec(sdk=sdk)), run_start_time=SLOT))
    assert run.start_time == expected
    assert run_pb2.RunSpec.FromString(run.run_spec).HasField("run_start_time") == (expected is not None)


def test_a_run_is_meant_for_its_slot_else_what_its_spec_says_else_what_the_caller_says_else_now() -> None:
    asked = run_pb2.RunSpec()
    asked.run_start_time.FromDatetime(T0 - timedelta(days=1))
    with_spec = replace(order(), run_spec=asked.SerializeToString(), run_start_time=T0 - timedelta(days=2))
    assert planned(replace(with_spec, slot=SLOT)).start_time == SLOT
    assert planned(with_spec).start_time == T0 - timedelta(days=1)
    assert planned(replace(with_spec, run_spec=None)).start_time == T0 - timedelta(days=2)
    assert planned(order()).start_time == T0


def test_given_inputs_go_over_the_triggers_and_defaults_fill_the_rest() -> None:
    wanted = replace(
        order(spec(names=("a", "b"), defaults={"c": 30, "d": 40})),
        trigger=trigger(deployment(given=inputs(a=1, c=3))),
        inputs=inputs(b=20, a=10),
    )
    assert values(planned(wanted).inputs) == {"a": 10, "c": 3, "b": 20, "d": 40}
    assert values(planned(replace(wanted, inputs=None)).inputs) == {"a": 1, "c": 3, "d": 40}


_SOME = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 9))


@given(_SOME, _SOME, _SOME)
def test_every_input_has_the_value_of_whoever_comes_first(
    given: dict[str, int], deployed: dict[str, int], defaults: dict[str, int]
) -> None:
    wanted = replace(
        order(spec(defaults=defaults)),
        trigger=trigger(deployment(given=inputs(**deployed))),
        inputs=inputs(**given) if given else None,
    )
    assert values(planned(wanted).inputs) == defaults | deployed | given


@pytest.mark.parametrize(
    ("uploaded", "of_trigger", "inline", "expected"),
    [
        pytest.param("s3://b/mine", "s3://b/its", None, "s3://b/mine", id="the caller's, whatever the trigger has"),
        pytest.param(None, "s3://b/its", None, "s3://b/its", id="the trigger's, when the caller gives none"),
        pytest.param(None, "s3://b/its/inputs.pb", None, "s3://b/its", id="the directory, not the file"),
        pytest.param(
            None, "s3://b/its", inputs(), "s3://b/its", id="the trigger's, when the caller gives an empty list"
        ),
    ],
)
def test_uploaded_inputs_stay_where_they_are(
    uploaded: str | None, of_trigger: str, inline: bytes | None, expected: str
) -> None:
    wanted = replace(
        order(spec(defaults={"a": 1})),
        trigger=trigger(deployment(uploaded=of_trigger)),
        offloaded=Uploaded(uploaded, "") if uploaded else None,
        inputs=inline,
    )
    run = planned(wanted)
    assert (run.inputs, run.input_uri) == (None, expected)
    assert run.output_base == "s3://wingbeat/birds/development/r1/"


def test_all_inputs_may_be_given_in_the_place_of_a_triggers_file_but_not_some_of_them() -> None:
    wanted = replace(
        order(spec(names=("a", "b"), defaults={"c": 3})), trigger=trigger(deployment(uploaded="s3://b/its"))
    )
    assert values(planned(replace(wanted, inputs=inputs(a=1, b=2))).inputs) == {"a": 1, "b": 2, "c": 3}
    with pytest.raises(InvalidArgument, match=r"missing: b$"):
        planned(replace(wanted, inputs=inputs(a=1)))


def test_the_runtime_of_a_new_sdk_fills_the_kickoff_input_itself() -> None:
    fires_with = trigger(deployment(given=inputs({KICKOFF_KEY: "when", "team": "owls"}, a=1), kickoff_arg="when"))
    run = planned(replace(order(spec(names=("a", "when"))), trigger=fires_with, slot=SLOT))
    assert values(run.inputs) == {"a": 1}
    assert context(run.inputs) == {KICKOFF_KEY: "when", "team": "owls"}
    assert (run.start_time, run.kickoff_arg) == (SLOT, "when")


@pytest.mark.parametrize(
    ("sdk", "marker"),
    [
        pytest.param(OLD_SDK, {KICKOFF_KEY: "when"}, id="an old SDK"),
        pytest.param(OLD_SDK, {}, id="an old SDK without a marker"),
        pytest.param(NEW_SDK, {}, id="a new SDK that nobody told"),
    ],
)
def test_the_kickoff_input_of_others_is_filled_here(sdk: str, marker: dict[str, str]) -> None:
    fires_with = trigger(deployment(given=inputs(marker, a=1), kickoff_arg="when"))
    wanted = replace(order(spec(sdk=sdk, names=("a", "when"))), trigger=fires_with)
    assert values(planned(replace(wanted, slot=SLOT)).inputs) == {"a": 1, "when": SLOT}
    assert values(planned(wanted).inputs) == {"a": 1, "when": T0}
    assert context(planned(wanted).inputs) == {}


@pytest.mark.parametrize("sdk", [OLD_SDK, NEW_SDK])
def test_a_value_the_caller_gives_wins_over_the_kickoff_time(sdk: str) -> None:
    fires_with = trigger(deployment(given=inputs({KICKOFF_KEY: "when"}), kickoff_arg="when"))
    run = planned(replace(order(spec(sdk=sdk, names=("when",))), trigger=fires_with, inputs=inputs(when=5)))
    assert values(run.inputs) == {"when": 5}
    assert context(run.inputs) == {}


def test_an_uploaded_kickoff_input_of_an_old_sdk_is_not_filled_and_the_run_says_so() -> None:
    fires_with = trigger(deployment(uploaded="s3://b/its", kickoff_arg="when"))
    run = planned(replace(order(spec(sdk=OLD_SDK)), trigger=fires_with, slot=SLOT))
    assert any("'when' does not get the kickoff time" in words for words in run.not_honoured)


def test_the_triggers_run_spec_is_used_unless_the_caller_brings_one() -> None:
    of_trigger = run_pb2.RunSpec(labels=run_pb2.Labels(values={"team": "owls"}), queue="night")
    wanted = replace(order(), trigger=trigger(deployment(spec=of_trigger), revision=4))
    run = planned(wanted)
    assert (dict(run.labels), run.lane) == ({"team": "owls"}, "night")
    assert run.trigger is not None
    assert run.trigger.revision == 4
    mine = planned(replace(wanted, run_spec=b""))
    assert (dict(mine.labels), mine.lane) == ({}, "")


def test_a_plain_task_gets_all_it_asks_for() -> None:
    assert planned(order()).not_honoured == ()


def test_what_is_not_honoured_is_said_field_by_field() -> None:
    asks = spec()
    asks.task_template.container.resources.requests.add(name=tasks_pb2.Resources.CPU, value="1")
    asks.task_template.worker_kind = tasks_pb2.WORKER_KIND_SANDBOX
    wants = run_pb2.RunSpec(cluster_pool="gpu", interruptible=BoolValue(value=False))
    words = planned(replace(order(asks), run_spec=wants.SerializeToString())).not_honoured
    assert [each.split(" ")[0] for each in words] == [
        "task_template.container.resources",
        "task_template.worker_kind",
        "cluster_pool",
    ]


def test_ten_thousand_fires_of_a_trigger_are_planned_in_a_moment() -> None:
    wanted = replace(
        order(spec(names=("a",), defaults={"b": 2})), trigger=trigger(deployment(given=inputs(a=1))), slot=SLOT
    )
    began = datetime.now(UTC)
    for number in range(10_000):
        planned(wanted, name=f"r{number}")
    assert datetime.now(UTC) - began < timedelta(seconds=5)
