-- Times are microseconds since 1970 in UTC. Phases are the numbers of flyteidl2.common.ActionPhase.

CREATE TABLE keyring (
    name TEXT PRIMARY KEY,
    value BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE project (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    labels BYTEA NOT NULL,
    state BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE task_spec (
    digest TEXT PRIMARY KEY,
    spec BYTEA NOT NULL
);

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
    entrypoint BOOLEAN NOT NULL,
    spec_digest TEXT NOT NULL REFERENCES task_spec (digest),
    deployed_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (project, domain, name, version)
);
CREATE INDEX task_by_age ON task (project, domain, name, created_at, version);

-- What a trigger is: bulky, changed by people.
CREATE TABLE trigger_spec (
    trigger_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project TEXT NOT NULL,
    domain TEXT NOT NULL,
    task_name TEXT NOT NULL,
    name TEXT NOT NULL,
    revision BIGINT NOT NULL CHECK (revision > 0),
    task_version TEXT NOT NULL,
    active BOOLEAN NOT NULL,
    automation_type TEXT NOT NULL,
    spec BYTEA NOT NULL,
    automation BYTEA NOT NULL,
    description TEXT NOT NULL,
    deployed_by TEXT NOT NULL,
    updated_by TEXT NOT NULL,
    deployed_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    UNIQUE (project, domain, task_name, name),
    CHECK (deleted_at IS NULL OR NOT active)
);
CREATE INDEX trigger_by_version ON trigger_spec (project, domain, task_name, task_version) WHERE deleted_at IS NULL;
CREATE INDEX trigger_by_change ON trigger_spec (project, domain, active, updated_at, trigger_id) WHERE deleted_at IS NULL;

CREATE TABLE trigger_revision (
    trigger_id BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('DEPLOY', 'ACTIVATE', 'DEACTIVATE', 'DELETE')),
    task_version TEXT NOT NULL,
    active BOOLEAN NOT NULL,
    automation_type TEXT NOT NULL,
    spec BYTEA NOT NULL,
    automation BYTEA NOT NULL,
    description TEXT NOT NULL,
    deployed_by TEXT NOT NULL,
    updated_by TEXT NOT NULL,
    deployed_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (trigger_id, revision)
);

-- When a trigger fires: narrow, changed by every fire. The one lock for everything that changes firing.
-- `wake_at` is when the scheduler must look next: the next slot with its jitter, or the retry of a decision that failed.
-- `policies` is empty for nearly all; `watches`: the end of a run decides something; triggers of one `run_group` share a
-- limit; `started` counts towards max-runs, `failed_runs` towards pause-after-failures.
CREATE TABLE schedule (
    trigger_id BIGINT PRIMARY KEY,
    revision BIGINT NOT NULL,
    schedule TEXT,
    active BOOLEAN NOT NULL,
    anchor BIGINT NOT NULL,
    decided_until BIGINT NOT NULL,
    next_fire_at BIGINT,
    wake_at BIGINT,
    triggered_at BIGINT,
    failures BIGINT NOT NULL DEFAULT 0,
    error TEXT,
    tzdata TEXT NOT NULL,
    policies TEXT NOT NULL DEFAULT '',
    watches BOOLEAN NOT NULL,
    run_group TEXT,
    started BIGINT NOT NULL DEFAULT 0,
    failed_runs BIGINT NOT NULL DEFAULT 0,
    CHECK (wake_at IS NULL OR schedule IS NOT NULL)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX schedule_due ON schedule (wake_at, trigger_id) WHERE wake_at IS NOT NULL;
CREATE INDEX schedule_by_group ON schedule (run_group) WHERE run_group IS NOT NULL;

-- Slots in (`after`, `until`] that came due while nobody could fire them, caught up apart from live ones, the least
-- recently served first. They belong to the revision whose schedule they came from. Those that wait for the end of a run
-- have a `wake_at` in the future, in case that nobody hears of the end.
CREATE TABLE backlog (
    trigger_id BIGINT NOT NULL,
    until BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    schedule TEXT NOT NULL,
    anchor BIGINT NOT NULL,
    after BIGINT NOT NULL,
    wake_at BIGINT NOT NULL,
    PRIMARY KEY (trigger_id, until),
    CHECK (after < until)
);
CREATE INDEX backlog_by_turn ON backlog (wake_at, trigger_id, until);

-- Runs that ended, of triggers that watch theirs. A run's end appends here and touches nothing else of the trigger; the
-- scheduler takes the rows away.
CREATE TABLE run_end (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    trigger_id BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    run_name TEXT NOT NULL,
    phase BIGINT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX run_end_by_trigger ON run_end (trigger_id, id);

-- The ledger: one row per fired slot, one per range of consecutive slots that did not fire.
CREATE TABLE fire (
    trigger_id BIGINT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('schedule', 'manual', 'hook', 'sensor', 'artifact', 'after', 'backfill')),
    key TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('fired', 'skipped', 'missed')),
    reason TEXT NOT NULL,
    first_slot BIGINT,
    last_slot BIGINT,
    count BIGINT NOT NULL CHECK (count > 0),
    revision BIGINT NOT NULL,
    run_name TEXT,
    decided_at BIGINT NOT NULL,
    PRIMARY KEY (trigger_id, kind, key),
    CHECK ((outcome = 'fired') = (run_name IS NOT NULL)),
    CHECK (outcome <> 'fired' OR count = 1)
);
CREATE INDEX fire_by_time ON fire (trigger_id, decided_at);

-- What a run was started with; its state is that of its root action.
CREATE TABLE run (
    project TEXT NOT NULL,
    domain TEXT NOT NULL,
    name TEXT NOT NULL,
    run_spec BYTEA NOT NULL,
    inputs BYTEA,
    input_uri TEXT NOT NULL,
    output_base TEXT NOT NULL,
    kickoff_arg TEXT NOT NULL,
    start_time BIGINT,
    slot BIGINT,
    created_by BYTEA,
    request_id TEXT,
    priority BIGINT NOT NULL,
    lane TEXT NOT NULL,
    not_honoured TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (project, domain, name)
);
CREATE UNIQUE INDEX run_by_request ON run (project, domain, request_id) WHERE request_id IS NOT NULL;

CREATE TABLE run_label (
    project TEXT NOT NULL,
    domain TEXT NOT NULL,
    run TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (project, domain, run, key)
);

CREATE TABLE action (
    project TEXT NOT NULL,
    domain TEXT NOT NULL,
    run TEXT NOT NULL,
    name TEXT NOT NULL,
    parent TEXT,
    action_group TEXT NOT NULL,
    action_type BIGINT NOT NULL,
    phase BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    cache_status BIGINT NOT NULL,
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
    trigger_id BIGINT,
    trigger_task TEXT,
    trigger_name TEXT,
    trigger_revision BIGINT,
    created_by_subject TEXT NOT NULL,
    input_uri TEXT NOT NULL,
    output_uri TEXT,
    abort_reason TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    ended_at BIGINT,
    duration_ms BIGINT,
    version BIGINT NOT NULL,
    PRIMARY KEY (project, domain, run, name)
);
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
    number BIGINT NOT NULL CHECK (number > 0),
    phase BIGINT NOT NULL,
    node TEXT NOT NULL,
    token BIGINT NOT NULL,
    output_prefix TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    ended_at BIGINT,
    error_code TEXT,
    error_kind TEXT,
    error_message TEXT,
    error_retryable BOOLEAN,
    log_uri TEXT,
    PRIMARY KEY (project, domain, run, action, number),
    CHECK ((error_message IS NULL) = (error_kind IS NULL))
);

CREATE TABLE event (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project TEXT NOT NULL,
    domain TEXT NOT NULL,
    run TEXT NOT NULL,
    action TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    phase BIGINT NOT NULL,
    message TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX event_by_attempt ON event (project, domain, run, action, attempt, id);

-- Every action that waits for a node or runs on one. `token` grows with each claim: an older outcome does not count.
CREATE TABLE queue (
    project TEXT NOT NULL,
    domain TEXT NOT NULL,
    run TEXT NOT NULL,
    action TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    parent TEXT,
    priority BIGINT NOT NULL,
    turn BIGINT NOT NULL,
    lane TEXT NOT NULL,
    trigger_id BIGINT,
    available_at BIGINT NOT NULL,
    node TEXT,
    token BIGINT NOT NULL,
    PRIMARY KEY (project, domain, run, action)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX queue_waiting ON queue (priority DESC, turn, available_at) WHERE node IS NULL;
CREATE INDEX queue_available ON queue (available_at) WHERE node IS NULL;
CREATE INDEX queue_by_turn ON queue (project, domain, run, turn);
CREATE INDEX queue_by_parent ON queue (project, domain, run, parent) WHERE parent IS NOT NULL;
CREATE INDEX queue_by_node ON queue (node) WHERE node IS NOT NULL;

CREATE TABLE node (
    id TEXT PRIMARY KEY,
    host TEXT NOT NULL,
    private_blobs BOOLEAN NOT NULL,
    started_at BIGINT NOT NULL,
    lease_until BIGINT NOT NULL
);

CREATE TABLE lease (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    token BIGINT NOT NULL,
    lease_until BIGINT NOT NULL
);
