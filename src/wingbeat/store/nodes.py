"""Rows of `node`: the servers that run actions. Whose lease is gone is taken for dead, whatever it still does."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from wingbeat.store.database import Row, Transaction, from_micros, maybe_moment, to_micros


@dataclass(frozen=True, slots=True)
class Node:
    id: str
    """Kept in the node's data directory: a restarted node finds its own actions again."""
    host: str
    private_blobs: bool
    """Are its blobs in a directory that other nodes cannot read?"""
    lanes: tuple[str, ...] = ()
    """The queues that it serves; none for all."""


@dataclass(frozen=True, slots=True)
class Membership:
    node: Node
    started_at: datetime
    lease_until: datetime
    scheduled_at: datetime | None = None
    """When a round of its scheduler ended, to within some seconds."""


async def register(tx: Transaction, node: Node, lease: timedelta) -> None:
    """The node lives for `lease` from now on; a known id is the same node after a restart."""
    await tx.execute(
        """
        INSERT INTO node (id, host, private_blobs, started_at, lease_until, lanes)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (id) DO UPDATE
           SET host = excluded.host, private_blobs = excluded.private_blobs, started_at = excluded.started_at,
               lease_until = excluded.lease_until, lanes = excluded.lanes
        """,
        node.id,
        node.host,
        node.private_blobs,
        to_micros(tx.now),
        to_micros(tx.now + lease),
        json.dumps(node.lanes) if node.lanes else "",
    )


async def renew(tx: Transaction, node: str, lease: timedelta) -> bool:
    """Whether the node is still known: others remove it some time after its lease was gone."""
    changed = await tx.execute("UPDATE node SET lease_until = $2 WHERE id = $1", node, to_micros(tx.now + lease))
    return changed == 1


async def note_round(tx: Transaction, node: str) -> None:
    """A round of the node's scheduler has ended."""
    await tx.execute("UPDATE node SET scheduled_at = $2 WHERE id = $1", node, to_micros(tx.now))


async def others(tx: Transaction, node: str) -> list[Membership]:
    """The other nodes that live."""
    rows = await tx.fetch(
        """
        SELECT id, host, private_blobs, started_at, lease_until, lanes, scheduled_at
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


async def serve(tx: Transaction, lane: str) -> bool:
    """Whether one that lives does. While there is no node at all, the default queue counts as served: it will be."""
    rows = await tx.fetch("SELECT DISTINCT lanes FROM node WHERE lease_until > $1", to_micros(tx.now))
    served = [_lanes(row) for row in rows]
    return any(not each or lane in each for each in served) or not (lane or served)


def _lanes(row: Row) -> tuple[str, ...]:
    return tuple(json.loads(row["lanes"])) if row["lanes"] else ()


def _membership(row: Row) -> Membership:
    return Membership(
        node=Node(row["id"], row["host"], bool(row["private_blobs"]), _lanes(row)),
        started_at=from_micros(row["started_at"]),
        lease_until=from_micros(row["lease_until"]),
        scheduled_at=maybe_moment(row["scheduled_at"]),
    )
