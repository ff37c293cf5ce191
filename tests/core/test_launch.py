import pytest
from hypothesis import given
from hypothesis import strategies as st

from wingbeat.core.ids import ActionId, AttemptId, RunId
from wingbeat.core.launch import attempt_of, directories_above, inputs_object, key_of, output_prefix, render

ATTEMPT = AttemptId(ActionId(RunId("p", "d", "r"), "a0"), 2)


@pytest.mark.parametrize(
    ("arg", "rendered"),
    [
        pytest.param("{{.input}}", "IN", id="as the SDK writes it"),
        pytest.param("{{$input}}", "IN", id="with a dollar"),
        pytest.param("{{ .Input }}", "IN", id="any case, inner spaces"),
        pytest.param("x={{.input}},{{.input}}", "x=IN,IN", id="within a text, twice"),
        pytest.param("{{.inputs.x}}", "{{.inputs.x}}", id="an unknown name"),
        pytest.param("{{input}}", "{{input}}", id="no dot"),
        pytest.param("{{.input}", "{{.input}", id="not closed"),
        pytest.param("plain", "plain", id="no template"),
    ],
)
def test_templates(arg: str, rendered: str) -> None:
    assert render([arg], {"input": "IN"}) == (rendered,)


def test_values_are_not_rendered_again() -> None:
    assert render(["{{.a}}"], {"a": "{{.b}}", "b": "no"}) == ("{{.b}}",)


@given(st.text(), st.text())
def test_what_is_no_template_stays_as_it_is(before: str, value: str) -> None:
    assert render([before], {}) == (before,)
    assert render(["{{.a}}"], {"a": value}) == (value,)


def test_a_key_names_its_attempt() -> None:
    assert key_of(ATTEMPT) == "p/d/r/a0/2"
    assert attempt_of(key_of(ATTEMPT)) == ATTEMPT


@pytest.mark.parametrize("key", ["", "p/d/r/a0", "p/d/r/a0/x", "a/b/c/d/e/1"])
def test_a_foreign_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=r"unpack|invalid literal"):
        attempt_of(key)


@pytest.mark.parametrize("uri", ["s3://b/x", "s3://b/x/", "s3://b/x/inputs.pb"])
def test_inputs_are_named_by_directory_or_object(uri: str) -> None:
    assert inputs_object(uri) == "s3://b/x/inputs.pb"


def test_each_attempt_has_its_own_output_prefix() -> None:
    assert output_prefix("s3://b/r/", ATTEMPT) == "s3://b/r/a0/2"


def test_what_lies_in_a_directory_may_lie_in_that_of_a_run() -> None:
    assert directories_above("s3://b/x/p/d/r1/inputs") == [
        ("s3://b/x/p/", RunId("b", "x", "p")),
        ("s3://b/x/p/d/", RunId("x", "p", "d")),
        ("s3://b/x/p/d/r1/", RunId("p", "d", "r1")),
    ]


@pytest.mark.parametrize("uri", ["", "s3://b", "s3://b/p/d", "inputs", "////", "s3://b//p//d/r"])
def test_what_lies_in_no_directory_of_a_run(uri: str) -> None:
    assert directories_above(uri) == []


def test_a_long_path_is_looked_at_from_its_beginning() -> None:
    assert len(directories_above("s3://b" + "/d" * 10_000)) < 20
