"""A node of a namespace: a callable, where it is, and what is said of it."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from wingbeat.compose import tags as tags_
from wingbeat.compose.configs import NsNodeConfig
from wingbeat.compose.contexts import DagContext
from wingbeat.compose.methods import Method
from wingbeat.compose.refs import NsRef

if TYPE_CHECKING:
    from wingbeat.compose.dags import Dag
    from wingbeat.compose.registry import Namespace


class NamespaceNode:
    """A registered callable; calling it runs what it was decorated with, and otherwise the callable itself."""

    def __init__(
        self,
        method: Method,
        nsref: str | NsRef | None = None,
        namespace: "Namespace | None" = None,
        decorated: Callable[..., Any] | None = None,
        tags: Iterable[str] | None = None,
        config: NsNodeConfig | None = None,
        dag: "Dag | None" = None,
    ) -> None:
        """`nsref` and `tags` are for nodes without `config`. Raises what `NsNodeConfig` and `tags.checked` raise."""
        self.method = method
        self.namespace = namespace
        self.dag = dag
        self.metadata: dict[str, Any] = {}
        self.config = config or NsNodeConfig(nsref=nsref, gref=method.gref, tags=sorted(tags_.checked(tags)) or None)
        self._decorated = decorated

    @property
    def nsref(self) -> NsRef:
        return self.config.where

    @property
    def tags(self) -> frozenset[str]:
        return frozenset(self.config.tags or ())

    @property
    def target(self) -> Callable[..., Any]:
        """What a call runs."""
        return self.method.o if self._decorated is None else self._decorated

    def decorate(self, wrapper: Callable[..., Any]) -> None:
        """Let calls run `wrapper`; signature and documentation stay those of the original."""
        self._decorated = wrapper

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.target(*args, **kwargs)

    def expects_dag_context(self) -> bool:
        """Whether the first parameter is a `DagContext` or of a subclass."""
        return self.dag_context_type() is not None

    def dag_context_type(self) -> type[DagContext] | None:
        """The class of context that the first parameter asks for."""
        annotation = self.method.args[0].annotation if self.method.args else None
        if annotation == DagContext.__name__:  # written as text, and imported for type checkers only
            return DagContext
        return annotation if isinstance(annotation, type) and issubclass(annotation, DagContext) else None

    def __repr__(self) -> str:
        return f"NamespaceNode(nsref={self.nsref!r})"
