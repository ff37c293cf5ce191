-- How the cache serves an action, as JSON; NULL for the many it does not serve. `origin` is the attempt,
-- "project/domain/run/action/number", whose outputs an action has without having made them. `related_run` is
-- "project/domain/run", of the first action of a run that came from another one.
ALTER TABLE action ADD COLUMN cache_policy TEXT;
ALTER TABLE action ADD COLUMN origin TEXT;
ALTER TABLE action ADD COLUMN relation_type INTEGER;
ALTER TABLE action ADD COLUMN related_run TEXT;

-- Results that are kept, with the attempt that made them. `used_at` is when one last served, to the hour.
CREATE TABLE cache_entry (
    key TEXT NOT NULL,
    project TEXT NOT NULL,
    domain TEXT NOT NULL,
    run TEXT NOT NULL,
    action TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    output_uri TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    PRIMARY KEY (key, project, domain)
) STRICT;
CREATE INDEX cache_entry_by_run ON cache_entry (project, domain, run);
CREATE INDEX cache_entry_by_use ON cache_entry (used_at, key, project, domain);

-- Who computes for all that wait for the same: entries of the queue that name the reservation.
CREATE TABLE cache_reservation (
    name TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    domain TEXT NOT NULL,
    run TEXT NOT NULL,
    action TEXT NOT NULL
) STRICT;
CREATE INDEX cache_reservation_by_run ON cache_reservation (project, domain, run);
ALTER TABLE queue ADD COLUMN reservation TEXT;
CREATE INDEX queue_by_reservation ON queue (reservation, turn) WHERE reservation IS NOT NULL;
