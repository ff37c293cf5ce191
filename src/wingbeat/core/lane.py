"""Names of queues. The default queue is the one without a name, inside, and `default` for people."""

DEFAULT = "default"


def lane_of(name: str) -> str:
    return "" if name == DEFAULT else name


def no_node_for(lane: str) -> str:
    """What those who wait in vain are told."""
    return f"no node that is alive serves the queue {lane or DEFAULT!r}"
