"""Fragments: the marked members of classes and modules as nodes under one prefix."""

import logging
import sys
from types import ModuleType
from typing import Any

import pytest

from wingbeat.compose.namespace import Namespace, NamespaceFragment, NsCacheConfig, nsnode, require_cache


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setitem(sys.modules, __name__, request.module)
    monkeypatch.setitem(sys.modules, "some_module", module())


class Downloads(NamespaceFragment):
    def __init__(self, key: str = "none") -> None:
        self.key = key

    @property
    def broken(self) -> str:
        raise AssertionError("looking at members must not compute properties")

    @nsnode(tags=["slow"])
    def fetch(self, name: str) -> str:
        return f"{name} with {self.key}"

    @nsnode()
    @require_cache
    def prices(self, name: str) -> dict[str, str]:
        return {name: self.key}

    def unmarked(self) -> None: ...


class NoFragment:
    @nsnode()
    def fetch(self) -> None: ...


def module() -> ModuleType:
    found = ModuleType("some_module")

    @nsnode(tags=["pure"])
    def double(x: int) -> int:
        return 2 * x

    vars(found).update(double=double, unmarked=lambda: None, constant=3)
    return found


def entry(**said: Any) -> dict[str, Any]:
    ttl = {"prices": {"min_ttl": 1, "max_ttl": 2}}
    return {"type": "fragment", "gref": f"{__name__}:Downloads", "nsref": "data:", "configs": ttl} | said


def test_marked_methods_become_nodes_under_the_prefix() -> None:
    namespace = Namespace.from_dict([entry(init={"key": "k"})])
    assert [str(node.nsref) for node in namespace.nodes()] == ["data:fetch", "data:prices"]
    assert namespace.get("data:fetch")("x") == "x with k"
    assert namespace.get("data:fetch").tags == {"slow"}
    assert list(namespace.get("data:fetch").method.args_by_name) == ["name"]
    assert namespace.get("data:fetch").method.gref is None


def test_members_are_configured_one_by_one() -> None:
    said = {"prices": {"min_ttl": 1, "max_ttl": 2, "triggers": ["@daily"], "tags": ["more"]}}
    namespace = Namespace.from_dict([entry(configs=said)])
    config = namespace.get("data:prices").config
    assert isinstance(config, NsCacheConfig)
    assert (config.min_ttl, config.max_ttl, config.tags) == (1, 2, ["more"])
    assert namespace.get_trigger("prices_poll")[0] is namespace.get("data:prices")


def test_defaults_are_for_members_that_require_a_cache() -> None:
    namespace = Namespace.from_dict([entry(configs={}, defaults={"cache": {"min_ttl": 3, "max_ttl": 4}})])
    kinds = {node.nsref.name: type(node.config) for node in namespace.nodes()}
    assert kinds["prices"] is NsCacheConfig
    assert kinds["fetch"] is not NsCacheConfig


def test_a_module_is_a_fragment() -> None:
    namespace = Namespace.from_dict([{"type": "fragment", "gref": "some_module", "nsref": "t:"}])
    assert [(str(node.nsref), node(4)) for node in namespace.query("pure")] == [("t:double", 8)]


def test_a_configuration_for_nothing_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Namespace.from_dict([{"type": "fragment", "gref": "some_module", "nsref": "t:", "configs": {"typo": {}}}])
    assert "configs entry 'typo' does not match" in caplog.text


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        ({"nsref": "data"}, ValueError, "must end with ':'"),
        ({"gref": None}, ValueError, "has no gref"),
        ({"gref": "some_module", "init": {"a": 1}, "configs": {}}, ValueError, "cannot have 'init'"),
        ({"gref": f"{__name__}:NoFragment"}, TypeError, "must be a module or a subclass of NamespaceFragment"),
        ({"gref": f"{__name__}:entry"}, TypeError, "must be a module or a subclass of NamespaceFragment"),
        ({"configs": {}}, ValueError, "@require_cache"),
        ({"configs": {"prices": {"min_ttl": 1}}}, ValueError, "max_ttl"),
        ({"configs": {"fetch": {"trigger": []}}}, ValueError, r"configs of 'data:fetch' has \['trigger'\]"),
    ],
)
def test_a_wrong_fragment_is_refused(said: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Namespace.from_dict([entry(**said)])
