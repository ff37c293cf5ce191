-- What happens by the clock alone to actions that are not over. Few actions have any.
CREATE TABLE timer (
    project TEXT NOT NULL,
    domain TEXT NOT NULL,
    run TEXT NOT NULL,
    action TEXT NOT NULL,
    kind TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (project, domain, run, action, kind, attempt)
) STRICT, WITHOUT ROWID;
CREATE INDEX timer_due ON timer (at, project, domain, run, action, kind, attempt);

-- How long an action and its attempts may take, in microseconds.
ALTER TABLE action ADD COLUMN max_queued_time INTEGER;
ALTER TABLE action ADD COLUMN max_runtime INTEGER;
ALTER TABLE action ADD COLUMN deadline INTEGER;

-- The actions of a run that nodes may hold at once, 0 for any number; with each of its entries, too.
ALTER TABLE run ADD COLUMN action_limit INTEGER NOT NULL DEFAULT 0;
ALTER TABLE queue ADD COLUMN action_limit INTEGER NOT NULL DEFAULT 0;

-- 253370764800000000 is 9999-01-01, which no clock reaches: such an entry is waited for and cannot be claimed.
-- Entries of runs with a limit are looked for apart: those that have to wait stand in nobody's way. The whole order is in
-- the indexes: thousands of runs that fire at one moment have the same turn.
DROP INDEX queue_waiting;
CREATE INDEX queue_waiting ON queue (priority DESC, turn, available_at, project, domain, run, action)
 WHERE node IS NULL AND available_at < 253370764800000000 AND action_limit = 0;
CREATE INDEX queue_waiting_limited
    ON queue (project, domain, run, priority DESC, turn, available_at, action, lane, action_limit, node)
 WHERE node IS NULL AND available_at < 253370764800000000 AND action_limit > 0;
CREATE INDEX queue_held_limited ON queue (project, domain, run) WHERE node IS NOT NULL AND action_limit > 0;
DROP INDEX queue_available;
CREATE INDEX queue_available ON queue (available_at, lane)
 WHERE node IS NULL AND available_at < 253370764800000000;

-- The queues that a node serves, as a list in JSON; empty for all.
ALTER TABLE node ADD COLUMN lanes TEXT NOT NULL DEFAULT '';
