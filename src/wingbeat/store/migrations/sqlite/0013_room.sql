-- Entries of runs with a limit that have no room are kept back: no claim looks at them, however many they are. `run_room` is
-- word that a run may have room again: appended by whoever leaves it or comes, taken once.
ALTER TABLE queue ADD COLUMN kept_back INTEGER NOT NULL DEFAULT 0;
CREATE TABLE run_room (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project TEXT NOT NULL,
    domain TEXT NOT NULL,
    run TEXT NOT NULL
) STRICT;
CREATE INDEX run_room_by_run ON run_room (project, domain, run, id);

DROP INDEX queue_waiting;
CREATE INDEX queue_waiting ON queue (priority DESC, turn, available_at, project, domain, run, action)
 WHERE node IS NULL AND available_at < 253370764800000000 AND NOT kept_back;
DROP INDEX queue_waiting_by_lane;
CREATE INDEX queue_waiting_by_lane ON queue (lane, priority DESC, turn, available_at, project, domain, run, action)
 WHERE node IS NULL AND available_at < 253370764800000000 AND NOT kept_back;
DROP INDEX queue_available;
CREATE INDEX queue_available ON queue (lane, available_at)
 WHERE node IS NULL AND available_at < 253370764800000000 AND NOT kept_back AND token >= 0;
DROP INDEX queue_waiting_limited;
CREATE INDEX queue_waiting_limited ON queue (project, domain, run, lane, available_at)
 WHERE node IS NULL AND action_limit > 0 AND NOT kept_back;
DROP INDEX queue_held_limited;
CREATE INDEX queue_held_limited ON queue (project, domain, run, node, action) WHERE node IS NOT NULL AND action_limit > 0;
CREATE INDEX queue_kept_back ON queue (project, domain, run, lane, priority DESC, turn, available_at, action) WHERE kept_back;
