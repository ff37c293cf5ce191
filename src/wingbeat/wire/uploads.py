"""Inputs that a caller uploads ahead of its run: where they are kept."""

import hashlib

from flyteidl2.task import common_pb2


def content_key(inputs: common_pb2.Inputs) -> str:
    """Differs for any two inputs, so that none is ever written over another."""
    return hashlib.sha256(inputs.SerializeToString(deterministic=True)).hexdigest()
