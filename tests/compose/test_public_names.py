"""Programs that were written for lythonic 0.0.28 find every public name here, and may call it as they did."""

import importlib
import inspect
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

NAMES = (Path(__file__).parent.parent / "data" / "lythonic-names.txt").read_text().splitlines()


def found(name: str) -> Any:
    module, _, path = name.partition(":")
    return reduce(getattr, path.split("."), importlib.import_module(f"wingbeat.{module}"))


@pytest.mark.parametrize("line", NAMES)
def test_a_name_is_there_with_its_parameters(line: str) -> None:
    name, bracket, rest = line.partition("(")
    thing = found(name)
    if not bracket:
        return
    theirs = [each for each in rest.removesuffix(")").split(", ") if each]
    ours = {each.name: each for each in inspect.signature(thing).parameters.values() if each.name != "self"}
    for each in theirs:
        if not each.startswith("*"):
            given = ours[each.removesuffix("=")]
            assert given.default is not given.empty or not each.endswith("="), f"{each} may be left out"
    known = {each.strip("*=") for each in theirs}
    new = [each for each in ours.values() if each.name not in known]
    assert all(each.default is not each.empty or each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD) for each in new)
