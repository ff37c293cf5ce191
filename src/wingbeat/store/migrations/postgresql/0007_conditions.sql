-- What a condition waits for: a number of flyteidl2.core.SimpleType.
ALTER TABLE action ADD COLUMN value_type BIGINT;

-- What conditions were given, and by whom. The value is JSON.
CREATE TABLE signal (
    project TEXT NOT NULL,
    domain TEXT NOT NULL,
    run TEXT NOT NULL,
    action TEXT NOT NULL,
    value TEXT NOT NULL,
    given_by TEXT NOT NULL,
    given_at BIGINT NOT NULL,
    PRIMARY KEY (project, domain, run, action)
);

-- Webhooks of conditions that are not told yet. Who takes a row puts `due_at` off by a lease, so that it is taken again
-- when nobody says how it went.
CREATE TABLE webhook (
    project TEXT NOT NULL,
    domain TEXT NOT NULL,
    run TEXT NOT NULL,
    action TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    PRIMARY KEY (project, domain, run, action)
);
CREATE INDEX webhook_due ON webhook (due_at);
