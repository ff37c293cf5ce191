"""What tasks and runs say about the cache, and by what inputs are compared: the same however they come.

The hash of inputs is made here only, of the literals as they are once the defaults of the task are among them. It is
what callers get who upload their inputs, and it is what is taken of inputs that come with the request.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from flyteidl2.core import literals_pb2
from flyteidl2.task import common_pb2, run_pb2, task_definition_pb2
from google.protobuf.duration_pb2 import Duration

from wingbeat.core.cache import CachePolicy, digest
from wingbeat.core.ids import Scope
from wingbeat.wire import inputs

MAX_AGE: Final = timedelta(days=365_000)
"""Longer is for ever."""
_OURS: Final = "v1."
"""Callers may send hashes of their own."""
_BY_START: Final = "|runStartTime"
"""At the end of a hash: one of the inputs is the time at which the run starts."""


@dataclass(frozen=True, slots=True)
class TaskCaching:
    """Of a task whose results are kept."""

    task: str
    """Its name."""
    version: str
    """Of the cache: results of other versions do not count."""
    interface: str
    """A digest of it."""
    ignored: frozenset[str]
    """Inputs that are not compared."""
    serializable: bool
    max_age: timedelta | None


@dataclass(frozen=True, slots=True)
class RunCaching:
    overwrite: bool
    everywhere: bool
    """Results of other projects and domains count, too."""


def of_task(spec: task_definition_pb2.TaskSpec) -> TaskCaching | None:
    """None: it runs every time."""
    template = spec.task_template
    if not template.metadata.discoverable:
        return None
    return TaskCaching(
        task=template.id.name,
        version=template.metadata.discovery_version,
        interface=digest(template.interface.SerializeToString(deterministic=True)),
        ignored=frozenset(template.metadata.cache_ignore_input_vars),
        serializable=template.metadata.cache_serializable,
        max_age=_max_age(template.metadata.cache_max_age),
    )


def of_run(spec: run_pb2.RunSpec) -> RunCaching:
    """Results of other projects count only for those who ask for them."""
    return RunCaching(
        overwrite=spec.overwrite_cache or spec.cache_config.overwrite_cache,
        everywhere=spec.cache_config.cache_lookup_scope == run_pb2.CACHE_LOOKUP_SCOPE_GLOBAL,
    )


def policy(key: str, task: TaskCaching, run: RunCaching, scope: Scope) -> CachePolicy:
    return CachePolicy(
        key=key,
        scope=None if run.everywhere else scope,
        overwrite=run.overwrite,
        serializable=task.serializable,
        max_age=task.max_age,
    )


def root_key(task: TaskCaching, hashed: str, *, kickoff_arg: str, start_time: datetime | None) -> str:
    """Of a run's first action. `hashed` are its inputs, `kickoff_arg` is what its trigger fills with the start time."""
    starts = start_time is not None and _counts_start(hashed, kickoff_arg, task.ignored)
    at = start_time.isoformat() if starts and start_time else ""
    return digest(hashed, task.task, task.interface, task.version, at)


def exact_key(made: str, given: common_pb2.Inputs, ignored: Collection[str]) -> str:
    """Of a call whose key a parent has made.

    The SDK writes nested lists one after the other, so that [[1], [2]] and [[1, 2]] have one key: how values lie in
    each other is added here.
    """
    compared = [item for item in given.literals if item.name not in ignored and _is_nested(item.value)]
    shapes = {item.name: _shape(item.value) for item in compared}
    return digest(made, json.dumps(shapes, sort_keys=True)) if shapes else made


def inputs_hash(given: common_pb2.Inputs, ignored: Collection[str]) -> str:
    """The same for inputs that differ only in their order, in the `ignored` ones, or in what has an equal hash."""
    at_start = inputs.kickoff_arg(given)
    left_out = {*ignored, at_start}
    literals = sorted((item for item in given.literals if item.name not in left_out), key=lambda item: item.name)
    compared = common_pb2.Inputs(
        literals=[common_pb2.NamedLiteral(name=item.name, value=_content(item.value)) for item in literals]
    )
    hashed = _OURS + digest(compared.SerializeToString(deterministic=True))
    return hashed + _BY_START if at_start and at_start not in ignored else hashed


def _counts_start(hashed: str, kickoff_arg: str, ignored: Collection[str]) -> bool:
    if hashed.startswith(_OURS):
        return hashed.endswith(_BY_START)
    return bool(kickoff_arg) and kickoff_arg not in ignored


def _content(literal: literals_pb2.Literal) -> literals_pb2.Literal:
    """What counts of it: a hash that its author gave stands for the value."""
    if literal.hash:
        return literals_pb2.Literal(hash=literal.hash)
    match literal.WhichOneof("value"):
        case "collection":
            items = [_content(item) for item in literal.collection.literals]
            return literals_pb2.Literal(collection=literals_pb2.LiteralCollection(literals=items))
        case "map":
            by_key = {key: _content(item) for key, item in literal.map.literals.items()}
            return literals_pb2.Literal(map=literals_pb2.LiteralMap(literals=by_key))
        case _:
            return literal


def _is_nested(literal: literals_pb2.Literal) -> bool:
    return not literal.hash and literal.WhichOneof("value") in ("collection", "map")


def _shape(literal: literals_pb2.Literal) -> Any:
    """Without the values, but with what the SDK writes down without its length."""
    if literal.hash:
        return ["hash", literal.hash]
    match literal.WhichOneof("value"):
        case "collection":
            return [_shape(item) for item in literal.collection.literals]
        case "map":
            return {key: _shape(item) for key, item in literal.map.literals.items()}
        case _:
            return None


def _max_age(age: Duration) -> timedelta | None:
    """Nothing grows old without one, or with one of nothing."""
    return age.ToTimedelta() if 0 < age.ToSeconds() < MAX_AGE.total_seconds() else None
