"""What a cache knows of one callable: how calls become keys and results become text, and which are still used."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from wingbeat.compose.configs import NsCacheConfig
from wingbeat.compose.methods import Method
from wingbeat.compose.simple_types import column_type, to_key
from wingbeat.compose.values import Codec, UnstorableValue
from wingbeat.store.compose.caches import RESERVED, CacheTable, Found
from wingbeat.store.compose.transaction import Value

SECONDS_A_DAY = 86400.0

Key = tuple[Value, ...]


class Verdict(Enum):
    """What a call does with what is kept."""

    USE = auto()
    REFRESH = auto()
    """Call, and use what is kept if that fails."""
    CALL = auto()
    REFUSE = auto()
    """It is too old to be used, and it must not be fetched again yet."""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Seconds for which a result is fresh, and after which it is no longer used."""

    fresh: float
    usable: float

    def verdict(self, found: Found, *, chance: float) -> Verdict:
        """`chance`, a random number in [0, 1), decides between the two times: the later, the likelier it is due."""
        if found.value_json is None:
            return Verdict.CALL
        if self.is_fresh(found):
            return Verdict.USE
        if found.age >= self.usable:
            return Verdict.CALL if found.suppressed_until is None else Verdict.REFUSE
        due = chance < (found.age - self.fresh) / (self.usable - self.fresh)
        return Verdict.REFRESH if due and found.suppressed_until is None else Verdict.USE

    def is_fresh(self, found: Found) -> bool:
        return found.value_json is not None and found.age < self.fresh


class KeptResults:
    """Raises ValueError for a callable whose parameters fit into no columns, or whose result fits into no JSON."""

    def __init__(self, method: Method, config: NsCacheConfig) -> None:
        self.name = str(config.where)
        self.place = self.name.replace(":", ".")
        self.lifetime = Lifetime(config.min_ttl * SECONDS_A_DAY, config.max_ttl * SECONDS_A_DAY)
        self._signature = inspect.signature(method.o)
        self.table = CacheTable(table_name_from_path(self.name), self.name, _columns(method, self._signature))
        self._annotations = {each.name: each.annotation for each in method.args}
        self._codec = Codec(method.return_annotation)
        if not self._codec.storable:
            raise ValueError(
                f"the result of {method.name!r} cannot be kept as JSON: declare a pydantic model, a dataclass or a"
                " standard type"
            )

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Callable[[Callable[..., Any]], Any], Key]:
        """The call with its defaults, to be made of a callable, and its key.

        Raises TypeError like a call does, and TypeError or ValueError for a value that fits into no column.
        """
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        key = tuple(self._key(name, value) for name, value in bound.arguments.items())
        return lambda c: c(*bound.args, **bound.kwargs), key

    def _key(self, name: str, value: Any) -> Value:
        try:
            return to_key(value, self._annotations[name])
        except (TypeError, ValueError) as error:
            raise type(error)(f"parameter {name!r} of {self.name!r}, of which results are kept: {error}") from error

    def verdict(self, found: Found, *, chance: float) -> tuple[Verdict, Any]:
        """With what is kept, if it is used; what cannot be read any more, as its type has changed, is not."""
        verdict = self.lifetime.verdict(found, chance=chance)
        if found.value_json is None or verdict in (Verdict.CALL, Verdict.REFUSE):
            return verdict, None
        try:
            return verdict, self.read(found.value_json)
        except ValueError:
            return Verdict.CALL, None

    def write(self, result: Any) -> str:
        """Raises UnstorableValue for a result that would come back as something else."""
        try:
            return self._codec.encode(result)
        except UnstorableValue as error:
            raise UnstorableValue(f"the result of {self.name!r} cannot be kept: {error}") from error

    def read(self, value_json: str) -> Any:
        return self._codec.decode(value_json)


def generate_cache_table_ddl(table_name: str, method: Method) -> str:
    """The statement that makes the table of a callable. Raises ValueError for parameters that fit into no columns."""
    return CacheTable(table_name, "", _columns(method, inspect.signature(method.o))).ddl


def table_name_from_path(path: str) -> str:
    """`market.data:fetch` is kept in table `market__data__fetch`."""
    return path.replace(":", ".").replace(".", "__")


def _columns(method: Method, signature: inspect.Signature) -> tuple[tuple[str, str], ...]:
    method.validate_simple_type_args()
    for name, parameter in signature.parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise ValueError(f"parameter {str(parameter)!r} of {method.name!r} has no column: name what it takes")
        if name.lower() in RESERVED:
            raise ValueError(f"parameter {name!r} of {method.name!r} is the name of a column of every cache: rename it")
    return tuple((each.name, column_type(each.annotation) or "TEXT") for each in method.args)
