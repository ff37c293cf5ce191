import math

from flyteidl2.core import literals_pb2
from flyteidl2.workflow import run_definition_pb2, run_service_pb2
from hypothesis import given
from hypothesis import strategies as st

from wingbeat.core.value import Value, same
from wingbeat.wire import conditions, values
from wingbeat.wire.conditions import Json

INT64 = st.integers(-(2**63), 2**63 - 1)
VALUES = st.booleans() | INT64 | st.floats() | st.text()
TEMPLATES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_a_value_comes_back_as_it_was_from_a_literal_and_a_payload(value: Value) -> None:
    literal = literals_pb2.Literal.FromString(values.literal(value).SerializeToString())
    assert same(values.literal_value(literal), value)
    payload = run_service_pb2.EventPayload.FromString(values.payload(value).SerializeToString())
    assert same(values.payload_value(payload), value)


@given(st.dictionaries(st.text(), TEMPLATES))
def test_a_webhook_says_what_the_task_has_written(template: dict[str, Json]) -> None:
    spec = run_definition_pb2.ConditionAction()
    spec.webhook.url = "https://hooks.example.org"
    spec.webhook.payload.update(template)
    url, said = conditions.webhook(spec.SerializeToString(), callback_uri="https://here/1")
    assert url == spec.webhook.url
    assert said == _expected(template)


def _expected(template: Json) -> Json:
    match template:
        case str():
            return template.replace("{callback_uri}", "https://here/1")
        case list():
            return [_expected(each) for each in template]
        case dict():
            return {key: _expected(each) for key, each in template.items()}
        case _:
            return template


def test_the_address_stands_wherever_a_text_says_so() -> None:
    spec = run_definition_pb2.ConditionAction()
    spec.webhook.payload.update({"a": ["<{callback_uri}>"], "{callback_uri}": 3, "b": {"c": math.pi}})
    _, said = conditions.webhook(spec.SerializeToString(), callback_uri="U")
    assert said == {"a": ["<U>"], "{callback_uri}": 3, "b": {"c": math.pi}}
