"""Nodes of a run, and the edges that values went along."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from wingbeat.store.compose.transaction import Row, Transaction


@dataclass(frozen=True, slots=True)
class StoredNode:
    """A node without what went in and came out, which may be large. Times are seconds since 1970."""

    run_id: str
    node_label: str
    status: str
    is_source: int
    is_sink: int
    started_at: float | None
    finished_at: float | None
    error: str | None


@dataclass(frozen=True, slots=True)
class StoredEdge:
    run_id: str
    upstream_label: str
    downstream_label: str
    traversed_at: float


def start(tx: Transaction, run_id: str, label: str, *, input_json: str | None, is_source: bool, is_sink: bool) -> None:
    """A node that is started again loses what it had."""
    tx.execute(
        "INSERT OR REPLACE INTO node_executions (run_id, node_label, status, is_source, is_sink, input_json,"
        " started_at) VALUES (?, ?, 'running', ?, ?, ?, ?)",
        run_id,
        label,
        is_source,
        is_sink,
        input_json,
        tx.now.timestamp(),
    )


def skip(tx: Transaction, run_id: str, label: str, *, output_json: str | None) -> None:
    now = tx.now.timestamp()
    tx.execute(
        "INSERT OR REPLACE INTO node_executions (run_id, node_label, status, output_json, started_at, finished_at)"
        " VALUES (?, ?, 'skipped', ?, ?, ?)",
        run_id,
        label,
        output_json,
        now,
        now,
    )


def complete(
    tx: Transaction, run_id: str, label: str, *, output_json: str | None, edges: Sequence[tuple[str, str]]
) -> None:
    """An edge that a restarted run goes along again counts once."""
    now = tx.now.timestamp()
    tx.execute(
        "UPDATE node_executions SET status = 'completed', output_json = ?, finished_at = ?"
        " WHERE run_id = ? AND node_label = ?",
        output_json,
        now,
        run_id,
        label,
    )
    if edges:
        tx.executemany(
            "INSERT OR REPLACE INTO edge_traversals (run_id, upstream_label, downstream_label, traversed_at)"
            " VALUES (?, ?, ?, ?)",
            [(run_id, upstream, downstream, now) for upstream, downstream in edges],
        )


def fail(tx: Transaction, run_id: str, label: str, *, error: str) -> None:
    tx.execute(
        "UPDATE node_executions SET status = 'failed', error = ?, finished_at = ? WHERE run_id = ? AND node_label = ?",
        error,
        tx.now.timestamp(),
        run_id,
        label,
    )


def of_runs(tx: Transaction, run_ids: Collection[str]) -> list[StoredNode]:
    """In the order of their starts."""
    rows = tx.fetch(
        "SELECT run_id, node_label, status, is_source, is_sink, started_at, finished_at, error FROM node_executions"
        " WHERE run_id IN (SELECT value FROM json_each(?)) ORDER BY started_at, node_label",
        json.dumps(list(run_ids)),
    )
    return [StoredNode(*row) for row in rows]


def edges_of_runs(tx: Transaction, run_ids: Collection[str]) -> list[StoredEdge]:
    """In the order of time."""
    rows = tx.fetch(
        "SELECT run_id, upstream_label, downstream_label, traversed_at FROM edge_traversals"
        " WHERE run_id IN (SELECT value FROM json_each(?)) ORDER BY traversed_at, upstream_label, downstream_label",
        json.dumps(list(run_ids)),
    )
    return [StoredEdge(*row) for row in rows]


def get_io(tx: Transaction, run_id: str, labels: Collection[str]) -> list[Row]:
    """Label, what went in and what came out of each of these nodes, as JSON."""
    return tx.fetch(
        "SELECT node_label, input_json, output_json FROM node_executions WHERE run_id = ?"
        " AND node_label IN (SELECT value FROM json_each(?)) ORDER BY node_label",
        run_id,
        json.dumps(list(labels)),
    )


def get_output(tx: Transaction, run_id: str, label: str) -> str | None:
    row = tx.fetchrow(
        "SELECT output_json FROM node_executions"
        " WHERE run_id = ? AND node_label = ? AND status IN ('completed', 'skipped')",
        run_id,
        label,
    )
    return row[0] if row else None
