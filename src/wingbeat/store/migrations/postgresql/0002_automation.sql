-- Why a trigger is paused and until when. In force for as long as the trigger is at `revision` and inactive.
CREATE TABLE pause (
    trigger_id BIGINT PRIMARY KEY,
    revision BIGINT NOT NULL,
    reason TEXT NOT NULL,
    until BIGINT,
    paused_by TEXT NOT NULL,
    paused_at BIGINT NOT NULL
);
CREATE INDEX pause_by_end ON pause (until) WHERE until IS NOT NULL;

-- Runs for slots of the past: those at or after `first` and before `last`, as `revision` would have fired them.
-- `after`: every slot up to here is decided. Being done is an end like being cancelled.
CREATE TABLE backfill (
    id TEXT PRIMARY KEY,
    trigger_id BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    schedule TEXT NOT NULL,
    anchor BIGINT NOT NULL,
    first BIGINT NOT NULL,
    last BIGINT NOT NULL,
    after BIGINT NOT NULL,
    again BOOLEAN NOT NULL,
    max_running BIGINT NOT NULL CHECK (max_running > 0),
    state TEXT NOT NULL CHECK (state IN ('running', 'paused', 'done', 'cancelled')),
    reason TEXT NOT NULL,
    slots BIGINT NOT NULL,
    started BIGINT NOT NULL,
    left_out BIGINT NOT NULL,
    missed BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at BIGINT,
    CHECK (first < last),
    CHECK ((ended_at IS NOT NULL) = (state IN ('done', 'cancelled')))
);
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
);
CREATE INDEX backfill_run_by_backfill ON backfill_run (backfill_id);

CREATE INDEX fire_backfilled ON fire (trigger_id, first_slot) WHERE kind = 'backfill' AND outcome = 'fired';
