"""Inputs that a caller uploads ahead of its run: where they are kept, and what a cache may compare them by."""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Collection
from functools import lru_cache

from flyteidl2.task import common_pb2, task_definition_pb2

_CACHED = 512


def content_key(inputs: common_pb2.Inputs) -> str:
    """Differs for any two inputs, so that none is ever written over another."""
    return hashlib.sha256(inputs.SerializeToString(deterministic=True)).hexdigest()


def cache_hash(inputs: common_pb2.Inputs, ignored: Collection[str]) -> str:
    """The same for inputs that differ only in their order or in the `ignored` ones."""
    compared = common_pb2.Inputs(
        literals=sorted((item for item in inputs.literals if item.name not in ignored), key=lambda item: item.name),
        context=sorted(inputs.context, key=lambda pair: pair.key),
    )
    digest = hashlib.sha256(compared.SerializeToString(deterministic=True)).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


@lru_cache(_CACHED)
def ignored_inputs(spec: bytes) -> frozenset[str]:
    """The inputs that do not matter to the cache, of a serialized flyteidl2.task.TaskSpec."""
    metadata = task_definition_pb2.TaskSpec.FromString(spec).task_template.metadata
    return frozenset(metadata.cache_ignore_input_vars)
