-- Why a trigger is paused and until when. In force for as long as the trigger is at `revision` and inactive.
CREATE TABLE pause (
    trigger_id INTEGER PRIMARY KEY,
    revision INTEGER NOT NULL,
    reason TEXT NOT NULL,
    until INTEGER,
    paused_by TEXT NOT NULL,
    paused_at INTEGER NOT NULL
) STRICT;
CREATE INDEX pause_by_end ON pause (until) WHERE until IS NOT NULL;

-- Runs for slots of the past: those at or after `first` and before `last`, as `revision` would have fired them.
-- `after`: every slot up to here is decided. Being done is an end like being cancelled.
CREATE TABLE backfill (
    id TEXT PRIMARY KEY,
    trigger_id INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    schedule TEXT NOT NULL,
    anchor INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    after INTEGER NOT NULL,
    again INTEGER NOT NULL,
    max_running INTEGER NOT NULL CHECK (max_running > 0),
    state TEXT NOT NULL CHECK (state IN ('running', 'paused', 'done', 'cancelled')),
    reason TEXT NOT NULL,
    slots INTEGER NOT NULL,
    started INTEGER NOT NULL,
    left_out INTEGER NOT NULL,
    missed INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    ended_at INTEGER,
    CHECK (first < last),
    CHECK ((ended_at IS NOT NULL) = (state IN ('done', 'cancelled')))
) STRICT;
CREATE INDEX backfill_by_age ON backfill (created_at, id);
CREATE INDEX backfill_by_trigger ON backfill (trigger_id, created_at, id);
CREATE INDEX backfill_going ON backfill (id) WHERE state IN ('running', 'paused');

-- Runs of backfills that are not over, or were not when somebody last looked.
CREATE TABLE backfill_run (
    project TEXT NOT NULL,
    domain TEXT NOT NULL,
    run TEXT NOT NULL,
    backfill_id TEXT NOT NULL REFERENCES backfill (id),
    PRIMARY KEY (project, domain, run)
) STRICT, WITHOUT ROWID;
CREATE INDEX backfill_run_by_backfill ON backfill_run (backfill_id);

CREATE INDEX fire_backfilled ON fire (trigger_id, first_slot) WHERE kind = 'backfill' AND outcome = 'fired';
