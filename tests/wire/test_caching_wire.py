"""One hash for the same inputs, whichever way they come."""

from dataclasses import replace
from datetime import timedelta

import pytest
from flyteidl2.core import literals_pb2
from flyteidl2.task import common_pb2, run_pb2, task_definition_pb2
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import T0
from tests.planting import DEFAULTS, deployment, inputs, integer, order, spec, trigger
from wingbeat.core.cache import CachePolicy
from wingbeat.core.ids import Scope
from wingbeat.operations.planning import RunOrder, plan
from wingbeat.wire import caching
from wingbeat.wire.caching import inputs_hash
from wingbeat.wire.inputs import KICKOFF_KEY, completed
from wingbeat.wire.runs import Uploaded, task_traits

HOUR = timedelta(hours=1)
EVERYWHERE, OWN = run_pb2.CACHE_LOOKUP_SCOPE_GLOBAL, run_pb2.CACHE_LOOKUP_SCOPE_PROJECT_DOMAIN


def collection(items: list[literals_pb2.Literal]) -> literals_pb2.Literal:
    return literals_pb2.Literal(collection=literals_pb2.LiteralCollection(literals=items))


def mapping(items: dict[str, literals_pb2.Literal]) -> literals_pb2.Literal:
    return literals_pb2.Literal(map=literals_pb2.LiteralMap(literals=items))


def nested(inner: st.SearchStrategy[literals_pb2.Literal]) -> st.SearchStrategy[literals_pb2.Literal]:
    lists = st.builds(collection, st.lists(inner, max_size=3))
    return lists | st.builds(mapping, st.dictionaries(st.text(max_size=2), inner, max_size=3))


LITERALS = st.recursive(st.builds(integer, st.integers(-9, 9)), nested, max_leaves=6)
NAMED = st.dictionaries(st.sampled_from("abcd"), LITERALS)


def cached(**metadata: object) -> task_definition_pb2.TaskSpec:
    """A task with inputs a, b, when, and a default for c."""
    message = spec(names=("a", "b", "when"), defaults={"c": 3})
    message.task_template.metadata.discoverable = True
    message.task_template.metadata.discovery_version = "1"
    for name, value in metadata.items():
        if isinstance(value, list):
            getattr(message.task_template.metadata, name).extend(value)
        elif isinstance(value, Duration):
            getattr(message.task_template.metadata, name).CopyFrom(value)
        else:
            setattr(message.task_template.metadata, name, value)
    return message


def message(literals: dict[str, literals_pb2.Literal], *, backwards: bool = False) -> common_pb2.Inputs:
    named = [common_pb2.NamedLiteral(name=name, value=value) for name, value in literals.items()]
    return common_pb2.Inputs(literals=named[::-1] if backwards else named)


def policy(wanted: RunOrder) -> CachePolicy:
    found = plan(wanted, defaults=DEFAULTS, now=T0, name="r1").cache
    assert found is not None
    return found


def upload(task: task_definition_pb2.TaskSpec, given: bytes) -> Uploaded:
    """As DataProxyService/UploadInputs answers."""
    traits = task_traits(order(task).task.spec)
    whole = completed(common_pb2.Inputs.FromString(given), traits.defaults)
    return Uploaded("s3://b/inputs", inputs_hash(whole, traits.ignored))


@given(NAMED, NAMED)
def test_inputs_are_equal_when_their_literals_are(
    one: dict[str, literals_pb2.Literal], other: dict[str, literals_pb2.Literal]
) -> None:
    assert (inputs_hash(message(one), ()) == inputs_hash(message(other, backwards=True), ())) == (one == other)


@given(NAMED, st.sets(st.sampled_from("abcd")))
def test_what_is_ignored_might_as_well_not_be_there(
    literals: dict[str, literals_pb2.Literal], ignored: set[str]
) -> None:
    left = {name: value for name, value in literals.items() if name not in ignored}
    assert inputs_hash(message(literals), ignored) == inputs_hash(message(left), ())


@given(NAMED, st.sets(st.sampled_from("abcd")))
def test_whatever_the_inputs_one_key_is_made_of_them_inline_and_uploaded(
    literals: dict[str, literals_pb2.Literal], ignored: set[str]
) -> None:
    task, given = cached(cache_ignore_input_vars=sorted(ignored)), message(literals).SerializeToString()
    inline = policy(replace(order(task), inputs=given))
    assert policy(replace(order(task), offloaded=upload(task, given))) == inline


def test_a_hash_that_its_author_gave_stands_for_the_value() -> None:
    one, other = [literals_pb2.Literal(scalar=integer(value).scalar, hash="same") for value in (1, 2)]
    lists = [collection([each]) for each in (one, other)]
    assert inputs_hash(message({"a": one}), ()) == inputs_hash(message({"a": other}), ())
    assert inputs_hash(message({"a": lists[0]}), ()) == inputs_hash(message({"a": lists[1]}), ())
    assert inputs_hash(message({"a": one}), ()) != inputs_hash(message({"a": integer(1)}), ())


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(inputs(a=1, b=2), id="some of them"),
        pytest.param(inputs(b=2, a=1, c=3), id="in another order, with the default"),
        pytest.param(inputs({"team": "owls"}, a=1, b=2), id="with a context"),
    ],
)
def test_inline_and_uploaded_inputs_have_one_key(given: bytes) -> None:
    task = cached()
    inline = policy(replace(order(task), inputs=given))
    assert policy(replace(order(task), offloaded=upload(task, given))) == inline
    assert inline == policy(replace(order(task), inputs=inputs(a=1, b=2, c=3)))
    assert inline.key != policy(replace(order(task), inputs=inputs(a=1, b=2, c=4))).key


@pytest.mark.parametrize("way", ["inline", "uploaded"])
@pytest.mark.parametrize("ignored", [False, True])
def test_the_time_of_a_fire_counts_when_it_is_an_input(way: str, *, ignored: bool) -> None:
    task = cached(cache_ignore_input_vars=["when"] if ignored else [])
    given = inputs({KICKOFF_KEY: "when"}, a=1, b=2)
    uploaded = upload(task, given)
    wanted = deployment(given=given, kickoff_arg="when") if way == "inline" else deployment(kickoff_arg="when")
    fired = replace(order(task), trigger=trigger(wanted), offloaded=uploaded if way == "uploaded" else None)
    keys = [policy(replace(fired, slot=at)).key for at in (T0, T0 + HOUR)]
    assert (keys[0] == keys[1]) == ignored
    inline = replace(fired, trigger=trigger(deployment(given=given, kickoff_arg="when")), offloaded=None)
    assert policy(replace(inline, slot=T0)).key == keys[0]


def test_a_run_again_of_a_fire_has_its_key() -> None:
    task = cached()
    given = inputs({KICKOFF_KEY: "when"}, a=1)
    fired = replace(order(task), trigger=trigger(deployment(given=given, kickoff_arg="when")), slot=T0)
    again = replace(order(task), offloaded=upload(task, given), run_start_time=T0)
    assert policy(again).key == policy(fired).key
    assert policy(replace(again, run_start_time=T0 + HOUR)).key != policy(fired).key


def test_a_hash_of_somebody_elses_is_taken_as_it_is() -> None:
    theirs = replace(order(cached()), offloaded=Uploaded("s3://b/i", "theirs"), run_start_time=T0)
    by_trigger = replace(theirs, trigger=trigger(deployment(kickoff_arg="when")))
    assert policy(theirs).key == policy(replace(theirs, run_start_time=T0 + HOUR)).key
    assert policy(by_trigger).key != policy(replace(by_trigger, run_start_time=T0 + HOUR)).key


def test_nothing_is_looked_up_by_inputs_that_nobody_has_compared() -> None:
    run = plan(replace(order(cached()), offloaded=Uploaded("s3://b/i", "")), defaults=DEFAULTS, now=T0, name="r1")
    assert run.cache is None
    assert any("inputs_hash" in words for words in run.not_honoured)


def test_a_task_that_is_not_cached_has_no_policy() -> None:
    assert plan(order(spec()), defaults=DEFAULTS, now=T0, name="r1").cache is None


@pytest.mark.parametrize("change", ["discovery_version", "name", "interface"])
def test_another_version_task_or_interface_has_another_key(change: str) -> None:
    task, other = cached(), cached()
    match change:
        case "discovery_version":
            other.task_template.metadata.discovery_version = "2"
        case "name":
            other.task_template.id.name = "env.swim"
        case _:
            other.task_template.interface.outputs.variables.add(key="o0")
    assert policy(order(task)).key != policy(order(other)).key


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param(run_pb2.RunSpec(), (Scope("birds", "development"), False), id="nothing"),
        pytest.param(run_pb2.RunSpec(overwrite_cache=True), (Scope("birds", "development"), True), id="the old field"),
        pytest.param(
            run_pb2.RunSpec(cache_config=run_pb2.CacheConfig(overwrite_cache=True, cache_lookup_scope=EVERYWHERE)),
            (None, True),
            id="everywhere, overwriting",
        ),
        pytest.param(
            run_pb2.RunSpec(cache_config=run_pb2.CacheConfig(cache_lookup_scope=OWN)),
            (Scope("birds", "development"), False),
            id="its own scope",
        ),
    ],
)
def test_a_run_says_where_results_are_looked_for(asked: run_pb2.RunSpec, expected: tuple[Scope | None, bool]) -> None:
    found = policy(replace(order(cached()), run_spec=asked.SerializeToString()))
    assert (found.scope, found.overwrite) == expected


@pytest.mark.parametrize(
    ("seconds", "age"),
    [(0, None), (3600, HOUR), (315_576_000_000, None)],
    ids=["none", "an hour", "as long as can be said"],
)
def test_a_task_says_how_old_results_may_be(seconds: int, age: timedelta | None) -> None:
    task = cached(cache_max_age=Duration(seconds=seconds), cache_serializable=True)
    assert policy(order(task)).max_age == age
    assert policy(order(task)).serializable
    assert caching.of_task(spec()) is None
