"""The tables of runs. Their names and columns are public: people query them with `sqlite3`, so they only ever grow.

Times are seconds since 1970. A file of lythonic is taken as it is and gets the columns it lacks.
"""

from collections.abc import Mapping

from wingbeat.store.compose.connection import File
from wingbeat.store.compose.transaction import Transaction

_TABLES = (
    """CREATE TABLE IF NOT EXISTS dag_runs (
        run_id TEXT PRIMARY KEY,
        dag_nsref TEXT NOT NULL,
        parent_run_id TEXT REFERENCES dag_runs (run_id),
        status TEXT NOT NULL,
        started_at REAL NOT NULL,
        finished_at REAL,
        source_inputs_json TEXT,
        sink_outputs_json TEXT,
        initiated_by TEXT,
        trigger_name TEXT,
        owner TEXT,
        error TEXT
    )""",
    """CREATE TABLE IF NOT EXISTS node_executions (
        run_id TEXT NOT NULL REFERENCES dag_runs (run_id),
        node_label TEXT NOT NULL,
        status TEXT NOT NULL,
        is_source INTEGER DEFAULT 0,
        is_sink INTEGER DEFAULT 0,
        input_json TEXT,
        output_json TEXT,
        started_at REAL,
        finished_at REAL,
        error TEXT,
        PRIMARY KEY (run_id, node_label)
    )""",
    """CREATE TABLE IF NOT EXISTS edge_traversals (
        run_id TEXT NOT NULL REFERENCES dag_runs (run_id),
        upstream_label TEXT NOT NULL,
        downstream_label TEXT NOT NULL,
        traversed_at REAL NOT NULL,
        PRIMARY KEY (run_id, upstream_label, downstream_label)
    )""",
    """CREATE TABLE IF NOT EXISTS run_owners (
        owner TEXT PRIMARY KEY,
        place TEXT,
        process TEXT,
        lease_until REAL NOT NULL
    )""",
)
_ADDED: Mapping[str, str] = {"initiated_by": "TEXT", "trigger_name": "TEXT", "owner": "TEXT", "error": "TEXT"}
"""Columns of `dag_runs` that a file of an earlier program may lack."""
_INDEXES: Mapping[str, str] = {
    "dag_runs_by_start": "dag_runs (started_at, run_id)",
    "dag_runs_by_status": "dag_runs (status, started_at, run_id)",
    "dag_runs_by_parent": "dag_runs (parent_run_id, started_at, run_id) WHERE parent_run_id IS NOT NULL",
    "dag_runs_by_trigger": "dag_runs (trigger_name, started_at, run_id) WHERE trigger_name IS NOT NULL",
    "dag_runs_by_owner": "dag_runs (owner, started_at, run_id) WHERE status = 'running'",
}


def ensure(file: File) -> None:
    """Make what the file lacks. A file that lacks nothing is not written, so that nobody is waited for."""
    if not file.read(_is_complete):
        file.write(_make)


def _is_complete(tx: Transaction) -> bool:
    indexes = {name for (name,) in tx.fetch("SELECT name FROM sqlite_schema WHERE type = 'index'")}
    owners = tx.fetchrow("SELECT 1 FROM sqlite_schema WHERE name = 'run_owners'")
    return owners is not None and indexes >= set(_INDEXES)


def _make(tx: Transaction) -> None:
    for table in _TABLES:
        tx.execute(table)
    present = {name for (name,) in tx.fetch("SELECT name FROM pragma_table_info('dag_runs')")}
    for column, kind in _ADDED.items():
        if column not in present:
            tx.execute(f"ALTER TABLE dag_runs ADD COLUMN {column} {kind}")
    for name, columns in _INDEXES.items():
        tx.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {columns}")
