"""References: what they accept, how they are written, and what they find."""

import json
import math
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

import wingbeat
from wingbeat import GlobalRef, ModuleRef, NsRef, Result, utc_now


def makes() -> list[int]:
    return [1]


async def awaits() -> None: ...


class Awaited:
    async def __call__(self) -> None: ...


kept = ["made by hand"]
kept__ = kept


@pytest.mark.parametrize(
    ("text", "scope", "name", "written"),
    [
        pytest.param("a.b:leaf", ["a", "b"], "leaf", "a.b:leaf", id="a leaf in a nested scope"),
        pytest.param("leaf", [], "leaf", "leaf", id="no colon, no scope"),
        pytest.param(":leaf", [], "leaf", "leaf", id="an empty scope is none"),
        pytest.param("a.b:", ["a", "b"], "", "a.b:", id="a prefix keeps its colon"),
        pytest.param("a:b:c", ["a"], "b:c", "a:b:c", id="the first colon separates"),
        pytest.param("", [], "", "", id="empty text"),
    ],
)
def test_a_reference_is_its_text(text: str, scope: list[str], name: str, written: str) -> None:
    ref = NsRef(text)
    assert (ref.scope, ref.name, str(ref)) == (scope, name, written)
    assert ref == NsRef(written)
    assert ref == written
    assert hash(ref) == hash(NsRef(ref))
    assert repr(ref) == f"NsRef({written!r})"


def test_references_are_ordered_like_their_texts() -> None:
    assert sorted([NsRef("b:a"), NsRef("a:z"), NsRef("a:b")]) == ["a:b", "a:z", "b:a"]
    assert NsRef("a") < "b"
    assert NsRef("a") != "b"
    assert NsRef("a") != 1


def test_a_copy_shares_nothing_with_its_original() -> None:
    original = NsRef("a:b")
    NsRef(original).scope.append("more")
    assert original == "a:b"


@pytest.mark.parametrize(
    ("thing", "written"),
    [
        pytest.param("json:dumps", "json:dumps", id="text"),
        pytest.param("json", "json:", id="text without a name is a module"),
        pytest.param("json:", "json:", id="a module"),
        pytest.param(json, "json:", id="a module object"),
        pytest.param(json.dumps, "json:dumps", id="a function"),
        pytest.param(Path, f"{Path.__module__}:Path", id="a class"),
        pytest.param(math.sqrt, "math:sqrt", id="a builtin"),
        pytest.param(NsRef("json:dumps"), "json:dumps", id="another reference"),
    ],
)
def test_what_a_global_reference_accepts(thing: Any, written: str) -> None:
    assert str(GlobalRef(thing)) == written
    assert repr(GlobalRef(thing)) == f"GlobalRef({written!r})"
    assert GlobalRef(GlobalRef(thing)) == GlobalRef(thing)


@pytest.mark.parametrize("text", ["", "a:b:c"])
def test_text_that_refers_to_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no reference: write 'package\.module:name'"):
        GlobalRef(text)


@pytest.mark.parametrize("thing", [partial(makes), Awaited(), 7], ids=["a partial", "an object", "a number"])
def test_things_without_a_name_are_refused(thing: Any) -> None:
    with pytest.raises(TypeError, match="has no name that can be imported"):
        GlobalRef(thing)


def test_a_global_reference_finds_the_thing_itself() -> None:
    assert GlobalRef("json:dumps").get_instance() is json.dumps
    assert GlobalRef("json").get_module() is json
    assert GlobalRef("os.path:join").module == "os.path"
    with pytest.raises(AttributeError):
        GlobalRef("json:nothing").get_instance()
    with pytest.raises(ModuleNotFoundError):
        GlobalRef("json.nothing:dumps").get_instance()
    with pytest.raises(ValueError, match="names a module"):
        GlobalRef("json").get_instance()


def here(name: str) -> GlobalRef:
    return GlobalRef(f"{__name__}:{name}")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setitem(__import__("sys").modules, __name__, request.module)


def test_two_underscores_mean_what_a_factory_returns() -> None:
    assert here("makes__").get_instance() == [1]
    assert here("makes__").get_instance() is not here("makes__").get_instance()
    assert here("kept__").get_instance() is kept


def test_what_a_global_reference_says_of_the_thing() -> None:
    assert (here("makes").is_function(), here("makes").is_class(), here("makes").is_async()) == (True, False, False)
    assert (here("Awaited").is_class(), here("Awaited").is_async()) == (True, True)
    assert here("awaits").is_async()
    module = GlobalRef("json")
    assert module.is_module()
    assert not any((module.is_class(), module.is_function(), module.is_async()))


def test_a_module_reference_is_its_path() -> None:
    assert [str(ModuleRef(each)) for each in (json, "json", ModuleRef("json"), NsRef("json:dumps"))] == ["json"] * 4
    assert ModuleRef("json").import_module() is json
    assert ModuleRef("json") == "json"
    with pytest.raises(TypeError, match="a int is no reference to a module"):
        ModuleRef(7)


def test_references_are_text_in_models() -> None:
    class Model(BaseModel):
        where: NsRef
        what: GlobalRef
        of: ModuleRef

    model = Model.model_validate({"where": "a:b", "what": json.dumps, "of": json})
    assert model.model_dump() == {"where": "a:b", "what": "json:dumps", "of": "json"}
    assert Model.model_validate_json(model.model_dump_json()) == model
    with pytest.raises(ValidationError, match="no name that can be imported"):
        Model.model_validate({"where": "a:b", "what": 7, "of": json})


def test_a_result_is_a_value_or_an_error() -> None:
    good: Result[int, str] = Result.Ok(1)
    bad: Result[int, str] = Result.Err("no")
    assert (good.is_ok(), good.is_err(), good.ok(), good.err(), good.unwrap()) == (True, False, 1, None, 1)
    assert (bad.is_ok(), bad.is_err(), bad.ok(), bad.err(), bad.unwrap_err()) == (False, True, None, "no", "no")
    assert (repr(good), repr(bad)) == ("Ok(1)", "Err('no')")
    assert Result[int, str].Ok(0).unwrap() == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        pytest.param(lambda: Result[int, int](), "a value or an error", id="neither"),
        pytest.param(lambda: Result(1, 2), "a value or an error", id="both"),
        pytest.param(lambda: Result[int, str].Err("no").unwrap(), "unwrap on Err: no", id="the value of an error"),
        pytest.param(lambda: Result[int, str].Ok(1).unwrap_err(), "unwrap_err on Ok: 1", id="the error of a value"),
    ],
)
def test_what_is_not_there_is_not_given(wrong: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()


def test_now_is_in_utc() -> None:
    assert utc_now().utcoffset() is not None
    assert not utc_now().utcoffset()


def test_what_the_package_lends_is_known_by_its_name_there() -> None:
    assert [str(GlobalRef(each)) for each in (NsRef, GlobalRef, ModuleRef, Result)] == [
        "wingbeat:NsRef",
        "wingbeat:GlobalRef",
        "wingbeat:ModuleRef",
        "wingbeat:Result",
    ]
    assert GlobalRef("wingbeat:NsRef").get_instance() is NsRef
    assert pickle.loads(pickle.dumps(NsRef("a:b"))) == "a:b"


def test_the_package_lends_what_its_stub_says() -> None:
    stub = Path(wingbeat.__file__).with_suffix(".pyi").read_text()
    lent = vars(wingbeat)["_LENT"]
    assert {f"from {module} import {name} as {name}" for name, module in lent.items()} == {
        line for line in stub.splitlines() if line.startswith("from ")
    }
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        wingbeat.Nothing  # type: ignore[attr-defined]  # noqa: B018
