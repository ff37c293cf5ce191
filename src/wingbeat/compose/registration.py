"""What becomes a node: where it belongs when nobody says so, and how the things said of it fit together."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from wingbeat.compose import tags as tags_
from wingbeat.compose.callables import module_of, name_of
from wingbeat.compose.configs import NsCacheConfig, NsNodeConfig, TriggerConfig
from wingbeat.compose.decorators import marks_of
from wingbeat.compose.methods import Method
from wingbeat.compose.nodes import NamespaceNode
from wingbeat.compose.refs import FACTORY_SUFFIX, NsRef
from wingbeat.compose.trigger_defs import RegisteredTrigger, TriggerDef


def default_nsref(c: Callable[..., Any]) -> NsRef:
    """`module:name`, and `module:name__` for a factory of Dags. Raises ValueError for what belongs to no module."""
    if not (module := module_of(c)):
        raise ValueError(f"{c!r} belongs to no module: say its nsref")
    return NsRef(f"{module}:{name_of(c)}{FACTORY_SUFFIX if marks_of(c).dag_factory else ''}")


def check_cache(c: Callable[..., Any], config: NsNodeConfig | None) -> None:
    """Raise ValueError when the callable requires a cache and gets none."""
    if marks_of(c).require_cache and not isinstance(config, NsCacheConfig):
        raise ValueError(f"{name_of(c)!r} is marked @require_cache: register it with a NsCacheConfig")


def settled(nsref: NsRef, method: Method, *, tags: Iterable[str] | None, config: NsNodeConfig | None) -> NsNodeConfig:
    """The configuration with everything in it that was said otherwise: place, tags, and names of triggers.

    Raises ValueError when it is the configuration of another place.
    """
    found = tags_.checked(tags)
    if config is None:
        return NsNodeConfig(nsref=nsref, gref=method.gref, tags=sorted(found) or None)
    changes: dict[str, Any] = {}
    if config.where != nsref:
        if says_where(config):
            raise ValueError(f"nsref is {str(nsref)!r}, and config.nsref is {str(config.where)!r}: say one of them")
        changes["nsref"] = nsref
    if not found <= set(config.tags or ()):
        changes["tags"] = sorted(found.union(config.tags or ()))
    if any(trigger.name is None for trigger in config.triggers):
        changes["triggers"] = _named(nsref, config.triggers)
    return config.model_copy(update=changes) if changes else config


def says_where(config: NsNodeConfig) -> bool:
    """Whether `nsref` was said, and does not just follow from `gref`."""
    return config.gref is None or config.where != str(config.gref)


def _named(nsref: NsRef, triggers: list[TriggerConfig]) -> list[TriggerConfig]:
    several = len(triggers) > 1
    return [
        trigger
        if trigger.name is not None
        else trigger.model_copy(update={"name": f"{nsref.name}_{trigger.type}{f'_{index}' if several else ''}"})
        for index, trigger in enumerate(triggers)
    ]


def triggers_of(node: NamespaceNode) -> Iterator[RegisteredTrigger]:
    """The triggers in a node's configuration; raises ValueError for one that is wrong."""
    for config in _named(node.nsref, node.config.triggers):
        yield RegisteredTrigger(node, TriggerDef.from_config(config, str(node.nsref)), config=config)


def by_free_names(added: Iterable[TriggerDef], known: Mapping[str, TriggerDef]) -> dict[str, TriggerDef]:
    """The added ones by their names; raises ValueError for a name that one of the known, or of the added, has."""
    found: dict[str, TriggerDef] = {}
    for each in added:
        if (other := known.get(each.name, found.get(each.name))) is not None:
            taken = f"Trigger {each.name!r} is already registered, for {other.dag_nsref!r}"
            raise ValueError(f"{taken}: choose another name")
        found[each.name] = each
    return found


def with_triggers(configs: Mapping[str, NsNodeConfig], definitions: Iterable[TriggerDef]) -> Mapping[str, NsNodeConfig]:
    """The configurations, by places, that say these triggers as well. Raises ValueError for one they cannot say."""
    added: dict[str, list[TriggerConfig]] = {}
    for definition in definitions:
        if definition.poll_fn is not None and definition.poll_ref is None:
            raise ValueError(
                f"trigger {definition.name!r}: poll_fn {definition.poll_fn!r} cannot be imported, so no configuration"
                " can say it: make it a function of a module"
            )
        added.setdefault(definition.dag_nsref, []).append(definition.to_config())
    found = dict(configs)
    for nsref, triggers in added.items():
        config = found.get(nsref) or NsNodeConfig(nsref=nsref)
        found[nsref] = config.model_copy(update={"triggers": [*config.triggers, *triggers]})
    return found


def plain(config: NsNodeConfig) -> dict[str, Any]:
    """The configuration as JSON has it; raises ValueError for a value that has none."""
    try:
        return config.model_dump(mode="json", exclude_none=True)
    except ValueError as error:
        raise ValueError(f"the configuration of {str(config.where)!r} has a value without JSON: {error}") from error


def placeholder(nsref: NsRef) -> Callable[[], Any]:
    """What stands for a node of which only the place is known."""

    def call() -> Any:
        raise RuntimeError(f"{str(nsref)!r} has no gref: there is nothing to call")

    return call
