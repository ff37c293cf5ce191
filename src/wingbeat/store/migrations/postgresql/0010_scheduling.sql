-- Every run that begins or ends asks which backfills go on: those that are over cost nothing.
CREATE INDEX backfill_running ON backfill (created_at, id) WHERE state = 'running';
-- When a round of the node's scheduler ended: one that hangs is seen.
ALTER TABLE node ADD COLUMN scheduled_at BIGINT;
