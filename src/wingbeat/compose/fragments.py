"""Fragments: the marked members of a class or module become nodes under one prefix."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wingbeat.compose.configs import NsCacheConfig, NsFragmentConfig, NsNodeConfig
from wingbeat.compose.decorators import Marks, marks_of
from wingbeat.compose.refs import FACTORY_SUFFIX, GlobalRef

log = logging.getLogger(__name__)

_OF_A_CACHE = frozenset({"min_ttl", "max_ttl"})
_OF_A_MEMBER = frozenset({*_OF_A_CACHE, "triggers", "tags"})


class NamespaceFragment:
    """Base of classes whose methods, marked `@nsnode` or `@dag_factory`, become nodes."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member that becomes a node."""

    c: Callable[..., Any]
    nsref: str
    config: NsNodeConfig


def members(config: NsFragmentConfig) -> Iterator[Member]:
    """The nodes of a fragment. Raises ValueError, or TypeError for a `gref` that is neither class nor module."""
    prefix = str(config.where)
    if config.gref is None:
        raise ValueError(f"fragment {prefix!r} has no gref: name a module, or a NamespaceFragment")
    if not prefix.endswith(":"):
        raise ValueError(f"nsref of fragment {str(config.gref)!r} is {prefix!r}: it must end with ':'")
    found = dict(_marked(_target(config.gref, config.init)))
    for unknown in sorted(config.configs.keys() - found.keys()):
        log.warning("Fragment '%s' configs entry '%s' does not match any discovered method", config.gref, unknown)
    for name, c in found.items():
        marks = marks_of(c)
        nsref = f"{prefix}{name}{FACTORY_SUFFIX if marks.dag_factory else ''}"
        yield Member(c, nsref, _config_of(nsref, marks, config, said=config.configs.get(name, {})))


def _target(gref: GlobalRef, init: Mapping[str, Any]) -> object:
    if gref.is_module():
        if init:
            raise ValueError(f"fragment {str(gref)!r} is a module, which cannot have 'init': name a class")
        return gref.get_module()
    found = gref.get_instance()
    if isinstance(found, type) and issubclass(found, NamespaceFragment):
        return found(**init)
    raise TypeError(f"fragment {str(gref)!r} must be a module or a subclass of NamespaceFragment, not {found!r}")


def _marked(target: object) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name in dir(target):
        if name.startswith("_") or isinstance(getattr(type(target), name, None), property):
            continue
        member = getattr(target, name, None)
        if callable(member) and ((marks := marks_of(member)).nsnode or marks.dag_factory):
            yield name, member


def _config_of(nsref: str, marks: Marks, of: NsFragmentConfig, *, said: Mapping[str, Any]) -> NsNodeConfig:
    if unknown := said.keys() - _OF_A_MEMBER:
        raise ValueError(f"configs of {nsref!r} has {sorted(unknown)}: use {sorted(_OF_A_MEMBER)}")
    values = {**(of.defaults.get("cache", {}) if marks.require_cache else {}), **said}
    values["tags"] = sorted({*marks.tags, *said.get("tags", ())}) or None
    kind = NsCacheConfig if values.keys() & _OF_A_CACHE else NsNodeConfig
    return kind.model_validate({**values, "nsref": nsref})
