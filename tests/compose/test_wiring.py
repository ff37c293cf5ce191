"""Which output goes into which parameter."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NewType, Protocol, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wingbeat.compose.type_fit import fits
from wingbeat.compose.wiring import Gathered, Output, Parameter, Part, Rest, Source, Whole, WiringError, wire

NoneType = type(None)
Name = NewType("Name", str)


class Animal: ...


class Dog(Animal): ...


class Speaks(Protocol): ...


class Row(TypedDict):
    a: int
    b: str


def of(*parameters: tuple[Any, ...]) -> list[Parameter]:
    return [Parameter(*each) for each in parameters]


ARGS = Rest(by_position=Parameter("args", int))
KWARGS = Rest(by_name=Parameter("kwargs", int))


def out(**outputs: Any) -> list[Output]:
    return [Output(label, annotation) for label, annotation in outputs.items()]


@pytest.mark.parametrize(
    ("parameters", "outputs", "sources"),
    [
        pytest.param(of(("x", int)), out(a=int), {"x": Whole("a")}, id="the same type"),
        pytest.param(
            of(("a", float), ("b", int)), out(a=int, b=float), {"a": Whole("b"), "b": Whole("a")},
            id="the exact type comes before the name",
        ),
        pytest.param(
            of(("left", str), ("right", str)), out(right=str, left=str),
            {"left": Whole("left"), "right": Whole("right")}, id="names tell the same types apart",
        ),
        pytest.param(
            of(("left", str), ("right", str)), out(left=str, other=str),
            {"left": Whole("left"), "right": Whole("other")}, id="one name leaves one choice",
        ),
        pytest.param(
            of(("x", float, False)), out(a=int), {"x": Whole("a")},
            id="an int is a float, whatever the default",
        ),
        pytest.param(of(("x", Any)), out(a=int), {"x": Whole("a")}, id="Any takes everything"),
        pytest.param(of(("x",)), out(a=int), {"x": Whole("a")}, id="no annotation takes everything"),
        pytest.param(of(("x", int)), out(a=None), {"x": Whole("a")}, id="what is not annotated goes anywhere"),
        pytest.param(of(("x", Animal)), out(a=Dog), {"x": Whole("a")}, id="a subclass"),
        pytest.param(of(("x", int)), out(a=int | None), {"x": Whole("a")}, id="an optional value"),
        pytest.param(of(("x", int | None)), out(a=int), {"x": Whole("a")}, id="into an optional parameter"),
        pytest.param(
            of(("x", Animal), ("y", Any)), out(a=Dog, b=int), {"x": Whole("a"), "y": Whole("b")},
            id="known types first",
        ),
        pytest.param(of(("xs", list[int])), out(a=int, b=int), {"xs": Gathered(("a", "b"))}, id="a list gathers"),
        pytest.param(of(("xs", list[int])), out(a=int), {"xs": Gathered(("a",))}, id="a list gathers also one"),
        pytest.param(of(("xs", list[int])), out(a=list[int]), {"xs": Whole("a")}, id="a list as it is"),
        pytest.param(
            of(("xs", list)), out(a=int, b=str), {"xs": Gathered(("a", "b"))},
            id="a bare list gathers anything",
        ),
        pytest.param(
            of(("first", int), ("rest", list[int])), out(first=int, b=int, c=int),
            {"first": Whole("first"), "rest": Gathered(("b", "c"))}, id="a name, and a list for the rest",
        ),
        pytest.param(of(("data", str), ("path", str, False)), out(a=str), {"data": Whole("a")}, id="a default stays"),
        pytest.param(
            of(("x", list), ("y", int)), out(m=None, a=int), {"y": Whole("a"), "x": Whole("m")},
            id="a composite gets what is left"
        ),
        pytest.param(
            of(("x", list), ("y", list)), out(m=None, n=None), {"x": Whole("m"), "y": Whole("n")},
            id="composites in order",
        ),
        pytest.param(
            of(("a", int), ("b", str, False)), out(d=dict[str, Any]),
            {"a": Part("d", "a", required=True), "b": Part("d", "b", required=False)}, id="a dict is taken apart",
        ),
        pytest.param(
            of(("a", int), ("b", str)), out(d=Row),
            {"a": Part("d", "a", required=True), "b": Part("d", "b", required=True)}, id="a typed dict, too",
        ),
        pytest.param(
            of(("a", int), ("b", str)), out(d=tuple[int, str]),
            {"a": Part("d", 0, required=True), "b": Part("d", 1, required=True)}, id="a tuple is taken apart",
        ),
        pytest.param(of(("x", dict)), out(a=NoneType, b=dict), {"x": Whole("b")}, id="None only comes first"),
        pytest.param([], out(a=NoneType, b=None), {}, id="a node without parameters comes after what has no type"),
    ],
)  # fmt: skip
def test_outputs_find_their_parameters(
    parameters: Sequence[Parameter], outputs: Sequence[Output], sources: Mapping[str, Source]
) -> None:
    assert wire("n", parameters, outputs) == sources


@pytest.mark.parametrize(
    ("parameters", "outputs", "says"),
    [
        pytest.param(of(("left", str), ("right", str)), out(a=str, b=str), "ambiguous", id="two for two without names"),
        pytest.param(of(("x", int)), out(a=int, b=int), "ambiguous", id="two for one"),
        pytest.param(of(("x", int), ("y", int)), out(a=int), "ambiguous", id="one for two"),
        pytest.param(
            of(("x", list[int]), ("y", list[int])), out(a=int, b=int), "ambiguous", id="two lists for the same"
        ),
        pytest.param(of(("x", Animal)), out(a=Dog, b=Dog), "ambiguous", id="two subclasses"),
        pytest.param(
            of(("x", str, False)), out(a=int), "no parameter takes the output of 'a'", id="dropped for a default"
        ),
        pytest.param(of(("x", int)), out(a=int, b=str), "no parameter takes the output of 'b'", id="one too many"),
        pytest.param(of(("x", int)), out(a=str), "nothing goes into 'x'", id="another type"),
        pytest.param(of(("x", int), ("y", str)), out(a=int), "nothing goes into 'y'", id="one missing"),
        pytest.param(of(("x", int)), out(a=NoneType), "nothing goes into 'x'", id="nothing is no value"),
        pytest.param([], out(a=str), "no parameter takes the output of 'a'", id="a value for no parameters"),
        pytest.param(
            of(("x", int)),
            out(a=int, b=None),
            "takes the output of 'b' .* annotate it with -> None",
            id="one of no type too many",
        ),
    ],
)
def test_what_can_be_meant_in_two_ways_or_is_missing_is_an_error(
    parameters: Sequence[Parameter], outputs: Sequence[Output], says: str
) -> None:
    with pytest.raises(WiringError, match=says):
        wire("n", parameters, outputs)


@pytest.mark.parametrize(
    ("parameters", "rest", "outputs", "sources"),
    [
        pytest.param([], ARGS, out(b=int, a=int), {"args": Gathered(("b", "a"))}, id="args in the order of edges"),
        pytest.param([], ARGS, out(a=None, b=NoneType), {"args": Gathered(("a",))}, id="args of no known type"),
        pytest.param([], KWARGS, out(b=int, a=int), {"a": Whole("a"), "b": Whole("b")}, id="kwargs by label"),
        pytest.param(
            of(("x", str)), ARGS, out(a=int, s=str, b=int), {"x": Whole("s"), "args": Gathered(("a", "b"))},
            id="a parameter first",
        ),
        pytest.param(
            of(("x", str)), KWARGS, out(a=int, s=str), {"x": Whole("s"), "a": Whole("a")}, id="a parameter before names"
        ),
    ],
)  # fmt: skip
def test_what_is_left_goes_into_what_takes_any_number(
    parameters: Sequence[Parameter], rest: Rest, outputs: Sequence[Output], sources: Mapping[str, Source]
) -> None:
    assert wire("n", parameters, outputs, rest) == sources


@pytest.mark.parametrize(
    ("parameters", "rest", "outputs", "says"),
    [
        pytest.param([], ARGS, out(a=str), "no parameter takes the output of 'a'", id="another type than args"),
        pytest.param([], KWARGS, out(a=str), "no parameter takes the output of 'a'", id="another type than kwargs"),
        pytest.param(
            of(("x", str, False)), KWARGS, out(x=int), "no parameter takes the output of 'x'", id="a name that is taken"
        ),
        pytest.param(
            [], Rest(ARGS.by_position, KWARGS.by_name), out(a=int), r"into \*args or \*\*kwargs: .*order_only",
            id="args or kwargs",
        ),
    ],
)  # fmt: skip
def test_what_is_left_is_not_dropped(
    parameters: Sequence[Parameter], rest: Rest, outputs: Sequence[Output], says: str
) -> None:
    with pytest.raises(WiringError, match=says):
        wire("n", parameters, outputs, rest)


@pytest.mark.parametrize(
    ("given_", "wanted", "fit"),
    [
        (int, float, True), (float, int, False), (bool, int, True), (str, int, False), (list[int], list, True),
        (list[int], list[str], False), (list[int], Sequence[int], True), (dict[str, int], Mapping[str, int], True),
        (Name, str, True), (Annotated[int, "m"], int, True), (int | str, int, False), (int | None, int, True),
        (Dog, Speaks, True), (Row, dict, True), (int, "int", True), (NoneType, int, False),
    ],
)  # fmt: skip
def test_types_fit_as_a_reader_would_say(given_: Any, wanted: Any, fit: bool) -> None:
    assert fits(given_, wanted) is fit


TYPES = st.sampled_from([int, str, float, bool, list[int], list[str], dict, tuple[int, str], Animal, Dog, Any, None])
NAMES = st.lists(st.sampled_from("abcdef"), unique=True, max_size=4)


@st.composite
def nodes(draw: st.DrawFn) -> tuple[list[Parameter], list[Output]]:
    parameters = [Parameter(name, draw(TYPES), draw(st.booleans())) for name in draw(NAMES)]
    return parameters, [Output(label, draw(TYPES)) for label in draw(NAMES)]


@given(nodes())
def test_wiring_is_complete_drops_nothing_and_uses_nothing_twice(node: tuple[list[Parameter], list[Output]]) -> None:
    parameters, outputs = node
    try:
        sources = wire("n", parameters, outputs)
    except WiringError:
        return
    assert {each.name for each in parameters if each.required} <= sources.keys()
    whole = [source.label for source in sources.values() if isinstance(source, Whole)]
    gathered = [label for source in sources.values() if isinstance(source, Gathered) for label in source.labels]
    parts = {source.label for source in sources.values() if isinstance(source, Part)}
    used = [*whole, *gathered, *parts]
    assert len(used) == len(set(used))
    known = {output.label for output in outputs if parameters or output.annotation not in (None, Any)}
    assert known <= set(used)
    annotations = {output.label: output.annotation for output in outputs}
    for parameter in parameters:
        source = sources.get(parameter.name)
        if isinstance(source, Whole):
            assert fits(annotations[source.label], parameter.annotation)


@given(nodes())
def test_the_order_of_edges_does_not_matter_where_types_are_known(node: tuple[list[Parameter], list[Output]]) -> None:
    parameters, outputs = node
    outputs = [output for output in outputs if output.annotation not in (None, Any)]

    def whole(outputs: list[Output]) -> object:
        try:
            sources = wire("n", parameters, outputs)
        except WiringError:
            return "refused"
        return {name: sorted(each.labels) if isinstance(each, Gathered) else each for name, each in sources.items()}

    assert whole(outputs) == whole(outputs[::-1])
