"""Rows of `node`: the servers that run actions. Whose lease is gone is taken for dead, whatever it still does."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from wingbeat.store.database import Row, Transaction, from_micros, to_micros


@dataclass(frozen=True, slots=True)
class Node:
    id: str
    """Kept in the node's data directory: a restarted node finds its own actions again."""
    host: str
    private_blobs: bool
    """Are its blobs in a directory that other nodes cannot read?"""


@dataclass(frozen=True, slots=True)
class Membership:
    node: Node
    started_at: datetime
    lease_until: datetime


async def register(tx: Transaction, node: Node, lease: timedelta) -> None:
    """The node lives for `lease` from now on; a known id is the same node after a restart."""
    await tx.execute(
        """
        INSERT INTO node (id, host, private_blobs, started_at, lease_until)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (id) DO UPDATE
           SET host = excluded.host, private_blobs = excluded.private_blobs, started_at = excluded.started_at,
               lease_until = excluded.lease_until
        """,
        node.id,
        node.host,
        node.private_blobs,
        to_micros(tx.now),
        to_micros(tx.now + lease),
    )


async def renew(tx: Transaction, node: str, lease: timedelta) -> bool:
    """Whether the node is still known: others remove it some time after its lease was gone."""
    changed = await tx.execute("UPDATE node SET lease_until = $2 WHERE id = $1", node, to_micros(tx.now + lease))
    return changed == 1


async def others(tx: Transaction, node: str) -> list[Membership]:
    """The other nodes that live."""
    rows = await tx.fetch(
        """
        SELECT id, host, private_blobs, started_at, lease_until
          FROM node
         WHERE id <> $1 AND lease_until > $2
         ORDER BY id
        """,
        node,
        to_micros(tx.now),
    )
    return [_membership(row) for row in rows]


async def remove(tx: Transaction, node: str) -> None:
    """The node left in order: nobody has to wait for its lease."""
    await tx.execute("DELETE FROM node WHERE id = $1", node)


async def remove_expired(tx: Transaction, before: datetime) -> None:
    """Forget nodes whose lease was gone before `before` and that hold nothing."""
    await tx.execute(
        """
        DELETE FROM node
         WHERE lease_until < $1 AND NOT EXISTS (SELECT 1 FROM queue WHERE queue.node = node.id)
        """,
        to_micros(before),
    )


def _membership(row: Row) -> Membership:
    return Membership(
        node=Node(row["id"], row["host"], bool(row["private_blobs"])),
        started_at=from_micros(row["started_at"]),
        lease_until=from_micros(row["lease_until"]),
    )
