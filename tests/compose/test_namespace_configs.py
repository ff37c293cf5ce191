"""Namespaces as plain data: what is read, what is written, and what is refused."""

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from wingbeat import GlobalRef, NsRef
from wingbeat.compose.namespace import Namespace, NsCacheConfig, NsNodeConfig, TriggerConfig


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setitem(sys.modules, __name__, request.module)


def add(a: int, b: int = 1) -> int:
    return a + b


ENTRIES: list[dict[str, Any]] = [
    {"type": "auto", "gref": f"{__name__}:add", "nsref": "math:add", "tags": ["fast"], "triggers": []},
    {"type": "cache", "gref": "json:dumps", "nsref": "json:dumps", "min_ttl": 0.5, "max_ttl": 2.0, "triggers": []},
    {
        "type": "auto",
        "nsref": "code:only",
        "triggers": [
            {"name": "hourly", "type": "poll", "schedule": "0 * * * *", "payload": {"a": 1}, "overlap": "queue"}
        ],
    },
]


def answer() -> None: ...


def test_what_is_read_is_what_is_written() -> None:
    namespace = Namespace.from_dict(ENTRIES)
    assert namespace.to_dict() == ENTRIES
    assert json.loads(json.dumps(namespace.to_dict())) == ENTRIES
    assert namespace.get("math:add")(1) == 2
    assert isinstance(namespace.get("json:dumps").config, NsCacheConfig)
    assert namespace.get_trigger("hourly").definition.overlap == "queue"


def test_moments_are_written_as_json_has_them() -> None:
    trigger = {"name": "t", "type": "push", "start": "2026-03-02T12:00:00Z", "end": "2026-03-03T12:00:00Z"}
    entries = [{"type": "auto", "nsref": "a:b", "triggers": [{**trigger, "payload": {"day": "2026-03-02"}}]}]
    namespace = Namespace.from_dict(entries)
    assert json.loads(json.dumps(namespace.to_dict())) == entries
    assert namespace.get_trigger("t").definition.start == datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_triggers_of_code_are_written_with_their_nodes() -> None:
    namespace = Namespace.from_dict([{"nsref": "math:add", "gref": f"{__name__}:add", "triggers": ["0 * * * *"]}])
    start = datetime(2026, 3, 2, 12, tzinfo=UTC)
    namespace.register_trigger("daily", "math:add", "poll", "0 0 * * *", answer, payload={"a": 1}, start=start)
    namespace.register_trigger("soon", "not:yet", "push", timeout=timedelta(minutes=1))
    written = json.loads(json.dumps(namespace.to_dict()))
    assert [(each["nsref"], "gref" in each) for each in written] == [("math:add", True), ("not:yet", False)]
    again = Namespace.from_dict(written)
    assert again.to_dict() == written
    assert [each.name for each in again.triggers()] == ["add_poll", "daily", "soon"]
    for name in ("daily", "soon"):
        before, after = namespace.get_trigger(name).definition, again.get_trigger(name).definition
        assert replace(after, poll_fn=after.polled()) == before


def test_what_json_cannot_say_is_refused_by_its_name() -> None:
    namespace = Namespace()
    namespace.register_trigger("asking", "a:b", "poll", "0 * * * *", lambda: None)
    with pytest.raises(ValueError, match=r"trigger 'asking': poll_fn .* cannot be imported"):
        namespace.to_dict()
    other = Namespace()
    other.register_trigger("odd", "a:b", "push", payload={"thing": object()})
    with pytest.raises(ValueError, match="configuration of 'a:b' has a value without JSON"):
        other.to_dict()


def test_what_cannot_be_imported_says_so_when_it_is_called() -> None:
    node = Namespace.from_dict(ENTRIES).get("code:only")
    with pytest.raises(RuntimeError, match="'code:only' has no gref: there is nothing to call"):
        node()


def test_the_place_is_the_import_path_unless_it_is_said() -> None:
    assert NsNodeConfig(gref=GlobalRef("json:dumps")).where == "json:dumps"
    assert NsNodeConfig(nsref="a:b", gref=GlobalRef("json:dumps")).nsref == NsRef("a:b")
    with pytest.raises(ValidationError, match="neither nsref nor gref"):
        NsNodeConfig()


def test_a_bare_expression_is_a_trigger() -> None:
    namespace = Namespace.from_dict(
        [{"gref": "json:dumps", "triggers": ["*/30 * * * * *", {"name": "own", "type": "push"}]}]
    )
    assert [(tc.name, tc.type, tc.schedule) for _, tc in namespace.triggers()] == [
        ("dumps_poll_0", "poll", "*/30 * * * * *"),
        ("own", "push", None),
    ]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        pytest.param("not cron", "must have five", id="a bare text that is no cron"),
        pytest.param({"schedule": "* * * * 8"}, "out of range", id="an impossible weekday"),
        pytest.param({"type": "pull"}, "Input should be 'poll' or 'push'", id="an unknown type"),
        pytest.param({"schedule": "* * * * *", "timezon": "UTC"}, "timezon\n +Extra inputs", id="an unknown field"),
        pytest.param({"schedule": "* * * * *", "poll_fn": "work"}, "'work' names a module", id="a module to ask"),
        pytest.param({"schedule": "0 0 30 2 *"}, "a date that never comes", id="a date that never comes"),
        pytest.param({"schedule": "* * * * *", "timezone": "Mars/Base"}, "is unknown", id="an unknown zone"),
        pytest.param(
            {"schedule": "* * * * *", "poll_fn": lambda: 1}, "cannot be imported", id="a function without a name"
        ),
    ],
)
def test_a_wrong_trigger_is_refused_when_it_is_written(said: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TriggerConfig.model_validate(said)


def test_a_function_is_written_by_its_name() -> None:
    config = TriggerConfig.model_validate({"schedule": "* * * * *", "poll_fn": add})
    assert config.model_dump(exclude_none=True)["poll_fn"] == f"{__name__}:add"


@pytest.mark.parametrize(("least", "most"), [(2, 1), (-1, 1)])
def test_times_to_live_are_in_order(least: float, most: float) -> None:
    with pytest.raises(ValidationError, match="use 0 <= min_ttl <= max_ttl"):
        NsCacheConfig(nsref="a:b", min_ttl=least, max_ttl=most)


def test_tags_are_checked_wherever_they_are_said() -> None:
    with pytest.raises(ValidationError, match="must have no spaces"):
        NsNodeConfig(nsref="a:b", tags=["a b"])
    with pytest.raises(TypeError, match="collection of texts"):
        NsNodeConfig.model_validate({"nsref": "a:b", "tags": "one"})


def test_tags_of_a_registration_join_those_of_its_configuration() -> None:
    config = NsNodeConfig(nsref="a:b", tags=["x"])
    namespace = Namespace()
    assert namespace.register(add, tags=["y"], config=config).tags == {"x", "y"}
    assert config.tags == ["x"]


def test_a_configuration_goes_where_the_registration_says_unless_it_says_itself() -> None:
    namespace = Namespace()
    node = namespace.register(add, nsref="a:moved", config=NsNodeConfig(gref=GlobalRef(add)))
    assert (node.nsref, namespace.get("a:moved")) == ("a:moved", node)
    assert namespace.register(add, config=NsNodeConfig(nsref="b:said")).nsref == "b:said"


@pytest.mark.parametrize(
    "entries",
    [
        [{"type": "auto"}],
        [{"type": "cache", "nsref": "a:b"}],
        [{"nsref": "a:b"}, {"nsref": "a:b"}],
        [{"nsref": "a:x", "triggers": ["* * * * *"]}, {"nsref": "b:x", "triggers": ["* * * * *"]}],
    ],
    ids=["no place", "a cache without times", "a place twice", "a trigger's name twice"],
)
def test_wrong_data_is_refused(entries: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match=r"nsref|Field required|already"):
        Namespace.from_dict(entries)
