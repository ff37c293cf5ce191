"""Callers as flyteidl2.common.EnrichedIdentity. Of a caller only the subject is kept."""

from flyteidl2.common import identity_pb2


def to_proto(subject: str) -> identity_pb2.EnrichedIdentity | None:
    """None: nobody knows the caller."""
    if not subject:
        return None
    identity = identity_pb2.EnrichedIdentity()
    identity.user.id.subject = subject
    return identity
