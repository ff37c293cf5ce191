-- Times are microseconds since 1970 in UTC. Phases are the numbers of flyteidl2.common.ActionPhase.

CREATE TABLE keyring (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE project (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    labels BLOB NOT NULL,
    state INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE task_spec (
    digest TEXT PRIMARY KEY,
    spec BLOB NOT NULL
) STRICT;

CREATE TABLE task (
    project TEXT NOT NULL,
    domain TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    type TEXT NOT NULL,
    environment TEXT NOT NULL,
    function_name TEXT NOT NULL,
    short_name TEXT NOT NULL,
    env_description TEXT NOT NULL,
    short_description TEXT NOT NULL,
    entrypoint INTEGER NOT NULL,
    spec_digest TEXT NOT NULL REFERENCES task_spec (digest),
    deployed_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (project, domain, name, version)
) STRICT;
CREATE INDEX task_by_age ON task (project, domain, name, created_at, version);

-- What a trigger is: bulky, changed by people.
CREATE TABLE trigger_spec (
    trigger_id INTEGER PRIMARY KEY AUTOINCREMENT,
    project TEXT NOT NULL,
    domain TEXT NOT NULL,
    task_name TEXT NOT NULL,
    name TEXT NOT NULL,
    revision INTEGER NOT NULL CHECK (revision > 0),
    task_version TEXT NOT NULL,
    active INTEGER NOT NULL,
    automation_type TEXT NOT NULL,
    spec BLOB NOT NULL,
    automation BLOB NOT NULL,
    description TEXT NOT NULL,
    deployed_by TEXT NOT NULL,
    updated_by TEXT NOT NULL,
    deployed_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    UNIQUE (project, domain, task_name, name),
    CHECK (deleted_at IS NULL OR NOT active)
) STRICT;
CREATE INDEX trigger_by_version ON trigger_spec (project, domain, task_name, task_version) WHERE deleted_at IS NULL;
CREATE INDEX trigger_by_change ON trigger_spec (project, domain, active, updated_at, trigger_id) WHERE deleted_at IS NULL;

CREATE TABLE trigger_revision (
    trigger_id INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('DEPLOY', 'ACTIVATE', 'DEACTIVATE', 'DELETE')),
    task_version TEXT NOT NULL,
    active INTEGER NOT NULL,
    automation_type TEXT NOT NULL,
    spec BLOB NOT NULL,
    automation BLOB NOT NULL,
    description TEXT NOT NULL,
    deployed_by TEXT NOT NULL,
    updated_by TEXT NOT NULL,
    deployed_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (trigger_id, revision)
) STRICT;

-- When a trigger fires: narrow, changed by every fire. The one lock for everything that changes firing.
-- `wake_at` is when the scheduler must look next: the next slot with its jitter, or the retry of a decision that failed.
-- `policies` is empty for nearly all; `watches`: the end of a run decides something; triggers of one `run_group` share a
-- limit; `started` counts towards max-runs, `failed_runs` towards pause-after-failures.
CREATE TABLE schedule (
    trigger_id INTEGER PRIMARY KEY,
    revision INTEGER NOT NULL,
    schedule TEXT,
    active INTEGER NOT NULL,
    anchor INTEGER NOT NULL,
    decided_until INTEGER NOT NULL,
    next_fire_at INTEGER,
    wake_at INTEGER,
    triggered_at INTEGER,
    failures INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    tzdata TEXT NOT NULL,
    policies TEXT NOT NULL DEFAULT '',
    watches INTEGER NOT NULL,
    run_group TEXT,
    started INTEGER NOT NULL DEFAULT 0,
    failed_runs INTEGER NOT NULL DEFAULT 0,
    CHECK (wake_at IS NULL OR schedule IS NOT NULL)
) STRICT;
CREATE INDEX schedule_due ON schedule (wake_at, trigger_id) WHERE wake_at IS NOT NULL;
CREATE INDEX schedule_by_group ON schedule (run_group) WHERE run_group IS NOT NULL;

-- Slots in (`after`, `until`] that came due while nobody could fire them, caught up apart from live ones, the least
-- recently served first. They belong to the revision whose schedule they came from. Those that wait for the end of a run
-- have a `wake_at` in the future, in case that nobody hears of the end.
CREATE TABLE backlog (
    trigger_id INTEGER NOT NULL,
    until INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    schedule TEXT NOT NULL,
    anchor INTEGER NOT NULL,
    after INTEGER NOT NULL,
    wake_at INTEGER NOT NULL,
    PRIMARY KEY (trigger_id, until),
    CHECK (after < until)
) STRICT, WITHOUT ROWID;
CREATE INDEX backlog_by_turn ON backlog (wake_at, trigger_id, until);

-- Runs that ended, of triggers that watch theirs. A run's end appends here and touches nothing else of the trigger; the
-- scheduler takes the rows away.
CREATE TABLE run_end (
    id INTEGER PRIMARY KEY,
    trigger_id INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    run_name TEXT NOT NULL,
    phase INTEGER NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX run_end_by_trigger ON run_end (trigger_id, id);

-- The ledger: one row per fired slot, one per range of consecutive slots that did not fire.
CREATE TABLE fire (
    trigger_id INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('schedule', 'manual', 'hook', 'sensor', 'artifact', 'after', 'backfill')),
    key TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('fired', 'skipped', 'missed')),
    reason TEXT NOT NULL,
    first_slot INTEGER,
    last_slot INTEGER,
    count INTEGER NOT NULL CHECK (count > 0),
    revision INTEGER NOT NULL,
    run_name TEXT,
    decided_at INTEGER NOT NULL,
    PRIMARY KEY (trigger_id, kind, key),
    CHECK ((outcome = 'fired') = (run_name IS NOT NULL)),
    CHECK (outcome <> 'fired' OR count = 1)
) STRICT, WITHOUT ROWID;
CREATE INDEX fire_by_time ON fire (trigger_id, decided_at);

-- What a run was started with; its state is that of its root action.
CREATE TABLE run (
    project TEXT NOT NULL,
    domain TEXT NOT NULL,
    name TEXT NOT NULL,
    run_spec BLOB NOT NULL,
    inputs BLOB,
    input_uri TEXT NOT NULL,
    output_base TEXT NOT NULL,
    kickoff_arg TEXT NOT NULL,
    start_time INTEGER,
    slot INTEGER,
    created_by BLOB,
    request_id TEXT,
    priority INTEGER NOT NULL,
    lane TEXT NOT NULL,
    not_honoured TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (project, domain, name)
) STRICT;
CREATE UNIQUE INDEX run_by_request ON run (project, domain, request_id) WHERE request_id IS NOT NULL;

CREATE TABLE run_label (
    project TEXT NOT NULL,
    domain TEXT NOT NULL,
    run TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (project, domain, run, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE action (
    project TEXT NOT NULL,
    domain TEXT NOT NULL,
    run TEXT NOT NULL,
    name TEXT NOT NULL,
    parent TEXT,
    action_group TEXT NOT NULL,
    action_type INTEGER NOT NULL,
    phase INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    cache_status INTEGER NOT NULL,
    task_project TEXT NOT NULL,
    task_domain TEXT NOT NULL,
    task_name TEXT NOT NULL,
    task_version TEXT NOT NULL,
    task_type TEXT NOT NULL,
    short_name TEXT NOT NULL,
    function_name TEXT NOT NULL,
    environment TEXT NOT NULL,
    spec_digest TEXT NOT NULL,
    source TEXT NOT NULL,
    trigger_id INTEGER,
    trigger_task TEXT,
    trigger_name TEXT,
    trigger_revision INTEGER,
    created_by_subject TEXT NOT NULL,
    input_uri TEXT NOT NULL,
    output_uri TEXT,
    abort_reason TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    ended_at INTEGER,
    duration_ms INTEGER,
    version INTEGER NOT NULL,
    PRIMARY KEY (project, domain, run, name)
) STRICT;
CREATE INDEX action_by_parent ON action (project, domain, run, parent, updated_at) WHERE parent IS NOT NULL;
CREATE INDEX action_root_by_phase ON action (project, domain, phase, created_at DESC, run DESC) WHERE parent IS NULL;
CREATE INDEX action_root_by_age ON action (project, domain, created_at, run) WHERE parent IS NULL;
CREATE INDEX action_root_by_task ON action (task_project, task_domain, task_name, created_at, run) WHERE parent IS NULL;
CREATE INDEX action_root_by_trigger ON action (trigger_id, created_at, run) WHERE trigger_id IS NOT NULL;
CREATE INDEX action_unfinished_by_trigger ON action (trigger_id) WHERE trigger_id IS NOT NULL AND ended_at IS NULL;

CREATE TABLE attempt (
    project TEXT NOT NULL,
    domain TEXT NOT NULL,
    run TEXT NOT NULL,
    action TEXT NOT NULL,
    number INTEGER NOT NULL CHECK (number > 0),
    phase INTEGER NOT NULL,
    node TEXT NOT NULL,
    token INTEGER NOT NULL,
    output_prefix TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    error_code TEXT,
    error_kind TEXT,
    error_message TEXT,
    error_retryable INTEGER,
    log_uri TEXT,
    PRIMARY KEY (project, domain, run, action, number),
    CHECK ((error_message IS NULL) = (error_kind IS NULL))
) STRICT;

CREATE TABLE event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project TEXT NOT NULL,
    domain TEXT NOT NULL,
    run TEXT NOT NULL,
    action TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    phase INTEGER NOT NULL,
    message TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX event_by_attempt ON event (project, domain, run, action, attempt, id);

-- Every action that waits for a node or runs on one. `token` grows with each claim: an older outcome does not count.
CREATE TABLE queue (
    project TEXT NOT NULL,
    domain TEXT NOT NULL,
    run TEXT NOT NULL,
    action TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    parent TEXT,
    priority INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    lane TEXT NOT NULL,
    trigger_id INTEGER,
    available_at INTEGER NOT NULL,
    node TEXT,
    token INTEGER NOT NULL,
    PRIMARY KEY (project, domain, run, action)
) STRICT, WITHOUT ROWID;
CREATE INDEX queue_waiting ON queue (priority DESC, turn, available_at) WHERE node IS NULL;
CREATE INDEX queue_available ON queue (available_at) WHERE node IS NULL;
CREATE INDEX queue_by_turn ON queue (project, domain, run, turn);
CREATE INDEX queue_by_parent ON queue (project, domain, run, parent) WHERE parent IS NOT NULL;
CREATE INDEX queue_by_node ON queue (node) WHERE node IS NOT NULL;

CREATE TABLE node (
    id TEXT PRIMARY KEY,
    host TEXT NOT NULL,
    private_blobs INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    lease_until INTEGER NOT NULL
) STRICT;

CREATE TABLE lease (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    token INTEGER NOT NULL,
    lease_until INTEGER NOT NULL
) STRICT;
