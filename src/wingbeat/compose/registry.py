"""The namespace: callables and DAGs by their names, with their triggers.

Its one rule: whatever is registered is complete; a registration that fails leaves nothing behind.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain, count
from typing import TYPE_CHECKING, Any

from wingbeat.compose import dag_nodes
from wingbeat.compose import tags as tags_
from wingbeat.compose.cached import mount_cached_node
from wingbeat.compose.configs import NsCacheConfig, NsFragmentConfig, NsNodeConfig
from wingbeat.compose.dag_provenance import DagProvenance
from wingbeat.compose.decorators import marks_of
from wingbeat.compose.engine import StorageConfig
from wingbeat.compose.fragments import members
from wingbeat.compose.methods import Method
from wingbeat.compose.nodes import NamespaceNode
from wingbeat.compose.refs import FACTORY_SUFFIX, GlobalRef, NsRef
from wingbeat.compose.registration import (
    by_free_names,
    check_cache,
    default_nsref,
    placeholder,
    plain,
    says_where,
    settled,
    triggers_of,
    with_triggers,
)
from wingbeat.compose.trigger_defs import PollFunction, RegisteredTrigger, Seconds, TriggerDef, define

if TYPE_CHECKING:
    from wingbeat.compose.dags import Dag

_CONFIGS = {"cache": NsCacheConfig, "fragment": NsFragmentConfig}


class Namespace:
    """Callables and DAGs by names such as `"market.data:fetch"`, which are plain text: scopes hold nothing."""

    def __init__(self) -> None:
        self._nodes: dict[str, NamespaceNode] = {}
        self._triggers: dict[str, TriggerDef] = {}
        """Those that `register_trigger` defined, by name; the others are in the configurations of nodes."""
        self._definitions: dict[str, TriggerDef] = {}
        """All triggers by their names, as they were when they were registered."""
        self._storage: StorageConfig | None = None
        self._provenance: DagProvenance | None = None

    @property
    def provenance(self) -> DagProvenance | None:
        """Where runs of registered DAGs are recorded; None before `mount`."""
        return self._provenance

    @property
    def is_mounted(self) -> bool:
        return self._storage is not None

    @property
    def requires_mount(self) -> bool:
        """Whether something in it is kept in a file: results, triggers, or what a node marked so keeps."""
        return any(
            isinstance(node.config, NsCacheConfig) or node.config.triggers or marks_of(node.method.o).mount_required
            for node in self._nodes.values()
        )

    @property
    def has_mountable(self) -> bool:
        """Whether something in it is different when it is mounted."""
        return self.requires_mount or any(
            node.dag is not None or marks_of(node.method.o).mountable for node in self._nodes.values()
        )

    def mount(self, storage: StorageConfig) -> None:
        """Keep in these files what its nodes want kept, from now on also for nodes that are registered later.

        Raises what `mount_cached_node` raises, and StartError when a file cannot be used.
        """
        provenance = DagProvenance(storage.dags_db) if storage.dags_db else None
        for node in self._nodes.values():
            _mount(node, storage)
        self._provenance, self._storage = provenance, storage
        storage.setup_logging()

    def register(
        self,
        c: "Callable[..., Any] | str | Dag",
        nsref: str | NsRef | None = None,
        decorate: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None,
        tags: Iterable[str] | None = None,
        config: NsNodeConfig | None = None,
    ) -> NamespaceNode:
        """Add a callable, the import path of one, a Dag or a factory of one.

        Without `nsref` the place is that of `config`, and otherwise `module:name`; a Dag must be told one. Calls run
        what `decorate` makes of the callable. Raises ValueError when the place or the name of a trigger is taken, or
        when something said is wrong; TypeError for a factory that makes no Dag; import errors of a path.
        """
        gref = GlobalRef(c) if isinstance(c, str | GlobalRef) else None
        found: Any = c if gref is None else gref.get_instance()
        check_cache(found, config)
        place = self._place(found, gref, nsref=nsref, config=config)
        dag = dag_nodes.made_by(found) if marks_of(found).dag_factory else found
        if dag_nodes.is_dag(dag):
            return self._register_dag(dag, place, tags=tags, config=config)
        method = Method(found if gref is None else gref)
        node = NamespaceNode(
            method,
            namespace=self,
            decorated=decorate(method.o) if decorate else None,
            config=settled(place, method, tags=tags, config=config),
        )
        return self._add(node)

    def register_all(
        self,
        *cc: Callable[..., Any],
        decorate: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None,
        tags: Iterable[str] | None = None,
    ) -> list[NamespaceNode]:
        """Register each at its own `module:name`; those before one that fails stay."""
        known = tags_.checked(tags)
        return [self.register(c, decorate=decorate, tags=known) for c in cc]

    def node_of(self, c: Callable[..., Any]) -> NamespaceNode:
        """The node of this very callable at its own `module:name`, registered now if there is none.

        Another callable at that place, such as another lambda of the module, moves it on to `name_2` and so forth.
        """
        place = default_nsref(c)
        places = chain([str(place)], (f"{place}_{number}" for number in count(2)))
        nsref = next(each for each in places if each not in self._nodes or self._nodes[each].method.o == c)
        return self._nodes.get(nsref) or self.register(c, nsref)

    def get(self, nsref: str | NsRef) -> NamespaceNode:
        """The node at this place; raises KeyError when there is none."""
        if (node := self.find(nsref)) is None:
            raise KeyError(f"{str(nsref)!r} not found in namespace")
        return node

    def find(self, nsref: str | NsRef) -> NamespaceNode | None:
        """The node at this place, or None when there is none."""
        return self._nodes.get(str(nsref))

    def get_as_dag(self, nsref: str | NsRef) -> "Dag":
        """The Dag at this place, or a new one around the callable; raises KeyError when there is nothing."""
        node = self.get(nsref)
        return dag_nodes.around(node, self) if node.dag is None else node.dag

    def nodes(self) -> list[NamespaceNode]:
        """All nodes, in the order of their registration."""
        return list(self._nodes.values())

    def query(self, expr: str) -> list[NamespaceNode]:
        """The nodes whose tags fit, such as `"slow & ~market"`; raises ValueError for a malformed expression."""
        fits = tags_.expression(expr)
        return [node for node in self._nodes.values() if fits(node.tags)]

    def register_trigger(
        self,
        name: str,
        dag_nsref: str | NsRef | Callable[..., Any],
        trigger_type: str,
        schedule: str | None = None,
        poll_fn: PollFunction | GlobalRef | str | None = None,
        *,
        payload: Mapping[str, Any] | None = None,
        timezone: str = "UTC",
        misfire: str = "once",
        grace: Seconds | None = None,
        overlap: str = "skip",
        max_instances: int = 1,
        retries: int = 0,
        timeout: Seconds | None = None,
        jitter: Seconds | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        inputs: Mapping[str, Any] | None = None,
    ) -> TriggerDef:
        """Define when a node runs; nothing fires before `TriggerManager.activate`.

        `trigger_type` is `poll` or `push`. What is at `dag_nsref` may be registered later: it is looked up when the
        trigger is activated; for what is registered already, at one place, it may be given itself. Raises ValueError
        when the name is taken or something said is wrong.
        """
        definition = define(
            name, self._place_of(dag_nsref), trigger_type, schedule=schedule, poll_fn=poll_fn, payload=payload,
            timezone=timezone, misfire=misfire, grace=grace, overlap=overlap, max_instances=max_instances,
            retries=retries, timeout=timeout, jitter=jitter, start=start, end=end, inputs=inputs,
        )  # fmt: skip
        self._claim_names([definition])
        self._triggers[name] = definition
        return definition

    def triggers(self) -> list[RegisteredTrigger]:
        """All triggers, as pairs of a node and its configuration: those of nodes first, in order of registration."""
        of_nodes = [trigger for node in self._nodes.values() for trigger in triggers_of(node)]
        return of_nodes + [self._pair(each) for each in self._triggers.values()]

    def get_trigger(self, name: str) -> RegisteredTrigger:
        """The trigger of this name, a pair `(node, config)`; raises KeyError when there is none."""
        if (definition := self._triggers.get(name)) is not None:
            return self._pair(definition)
        known = self._definitions.get(name)
        node = self._nodes.get(known.dag_nsref) if known else None
        for trigger in triggers_of(node) if node else self.triggers():
            if trigger.name == name:
                return trigger
        raise KeyError(f"Trigger {name!r} not found")

    @property
    def definitions(self) -> Mapping[str, TriggerDef]:
        """By the names of all triggers, what they were registered as."""
        return self._definitions

    def to_dict(self) -> list[dict[str, Any]]:
        """The configurations of all nodes with all their triggers, as JSON has it: what `from_dict` reads.

        A trigger whose node is not registered has an entry without `gref`. Raises ValueError for a `poll_fn` that
        cannot be imported, and for a value that has no JSON.
        """
        configs = {nsref: node.config for nsref, node in self._nodes.items()}
        return [plain(config) for config in with_triggers(configs, self._triggers.values()).values()]

    @classmethod
    def from_dict(cls, entries: Iterable[Mapping[str, Any]]) -> "Namespace":
        """A namespace from plain data: nodes to import, fragments, and nodes without `gref`, which nothing can call.

        Raises ValueError (also pydantic's), TypeError and import errors.
        """
        namespace = cls()
        for entry in entries:
            config = _CONFIGS.get(entry.get("type", "auto"), NsNodeConfig).model_validate(entry)
            if isinstance(config, NsFragmentConfig):
                for member in members(config):
                    namespace.register(member.c, member.nsref, config=member.config)
            else:
                c = placeholder(config.where) if config.gref is None else config.gref.get_instance()
                namespace.register(c, config.where, config=config)
        return namespace

    def _place(
        self, found: Any, gref: GlobalRef | None, *, nsref: str | NsRef | None, config: NsNodeConfig | None
    ) -> NsRef:
        if nsref is not None:
            return NsRef(nsref)
        if config is not None and says_where(config):
            return config.where
        if gref is not None:
            return NsRef(f"{gref}{FACTORY_SUFFIX if marks_of(found).dag_factory else ''}")
        if dag_nodes.is_dag(found):
            raise ValueError("nsref is required when registering a Dag")
        return default_nsref(found)

    def _place_of(self, registered: Any) -> Any:
        """The place of a callable, a Dag or a node of this namespace; anything else as it is."""
        if isinstance(registered, str | NsRef) or registered is None:
            return registered
        places = [
            place
            for place, node in self._nodes.items()
            if any(registered is each for each in (node, node.dag, node.method.o))
        ]
        return places[0] if len(places) == 1 else registered

    def _register_dag(
        self, dag: "Dag", nsref: NsRef, *, tags: Iterable[str] | None, config: NsNodeConfig | None
    ) -> NamespaceNode:
        if dag.parent_namespace is self:
            raise ValueError(f"the Dag for {str(nsref)!r} is already registered with this namespace")
        dag.validate()
        method = dag_nodes.method_of(dag, self, nsref=str(nsref))
        config = settled(nsref, method, tags=tags, config=config)
        node = self._add(NamespaceNode(method, namespace=self, config=config, dag=dag))
        dag.parent_namespace = self
        return node

    def _add(self, node: NamespaceNode) -> NamespaceNode:
        if (key := str(node.nsref)) in self._nodes:
            raise ValueError(f"{key!r} already exists in namespace")
        triggers = [trigger.definition for trigger in triggers_of(node)]
        if self._storage is not None:
            _mount(node, self._storage)
        self._claim_names(triggers)
        self._nodes[key] = node
        return node

    def _pair(self, definition: TriggerDef) -> RegisteredTrigger:
        return RegisteredTrigger(self._nodes.get(definition.dag_nsref), definition, config=definition.to_config())

    def _claim_names(self, added: Sequence[TriggerDef]) -> None:
        self._definitions |= by_free_names(added, self._definitions)


def _mount(node: NamespaceNode, storage: StorageConfig) -> None:
    if isinstance(node.config, NsCacheConfig) and storage.cache_db is not None:
        mount_cached_node(node, storage.cache_db)
