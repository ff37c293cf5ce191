-- Every run that begins or ends asks which backfills go on: those that are over cost nothing.
CREATE INDEX backfill_running ON backfill (created_at, id) WHERE state = 'running';
