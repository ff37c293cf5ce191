"""Which servers there are. A node that cannot read the others' blobs must be the only one."""

from datetime import timedelta

from wingbeat.errors import FailedPrecondition
from wingbeat.store import nodes
from wingbeat.store.database import Transaction
from wingbeat.store.nodes import Node

FORGOTTEN_AFTER = timedelta(days=1)


async def join(tx: Transaction, node: Node, lease: timedelta) -> int:
    """The node lives for `lease` from now on, or again after a restart; the number of other nodes.

    Raises FailedPrecondition while another node lives and either keeps its blobs to itself.
    """
    others = await nodes.others(tx, node.id)
    for other in others:
        if node.private_blobs or other.node.private_blobs:
            raise FailedPrecondition(
                f"node {other.node.id!r} on {other.node.host!r} uses this database too, until "
                f"{other.lease_until:%Y-%m-%d %H:%M:%S} UTC at least, and a directory of blobs cannot be shared: "
                "stop it, or keep the blobs in object storage"
            )
    await nodes.register(tx, node, lease)
    return len(others)


async def renew(tx: Transaction, node: Node, lease: timedelta) -> int:
    """The number of other nodes. Raises as `join`, which it does when the others had given the node up."""
    if not await nodes.renew(tx, node.id, lease):
        return await join(tx, node, lease)
    await nodes.remove_expired(tx, tx.now - FORGOTTEN_AFTER)
    return len(await nodes.others(tx, node.id))
