-- How long a source is needed: 'end' for what a run was given, 'pruned' for what it shows as its own.
ALTER TABLE run_need ADD COLUMN kept_until TEXT NOT NULL DEFAULT 'pruned' CHECK (kept_until IN ('end', 'pruned'));

-- What runs need that were there before `run_need` was.
INSERT INTO run_need (source_project, source_domain, source_run, project, domain, run, kept_until)
SELECT DISTINCT n.* FROM (
       SELECT split_part(a.origin, '/', 1) AS source_project,
              split_part(a.origin, '/', 2) AS source_domain,
              split_part(a.origin, '/', 3) AS source_run, a.project, a.domain, a.run, 'pruned'
         FROM action a JOIN run r ON r.project = a.project AND r.domain = a.domain AND r.name = a.run
        WHERE a.origin IS NOT NULL AND r.pruned_at IS NULL) n
 WHERE (n.source_project, n.source_domain, n.source_run) <> (n.project, n.domain, n.run)
    ON CONFLICT DO NOTHING;
INSERT INTO run_need (source_project, source_domain, source_run, project, domain, run, kept_until)
SELECT split_part(a.related_run, '/', 1),
       split_part(a.related_run, '/', 2),
       split_part(a.related_run, '/', 3),
       a.project, a.domain, a.run, CASE a.relation_type WHEN 2 THEN 'pruned' ELSE 'end' END
  FROM action a
 WHERE a.related_run IS NOT NULL AND a.parent IS NULL
    ON CONFLICT DO NOTHING;

-- Of uploads that were there before anybody wrote down who speaks of them nobody knows whether they are used: they stay.
-- No row in a database that began with all of this.
CREATE TABLE upload_use_since (at BIGINT NOT NULL);
INSERT INTO upload_use_since (at) SELECT CAST(extract(epoch FROM now()) * 1000000 AS BIGINT) WHERE EXISTS (SELECT 1 FROM task_spec);

-- One range for each queue that a node serves: what waits in the others, however much, is not looked at.
CREATE INDEX queue_waiting_by_lane ON queue (lane, priority DESC, turn, available_at, project, domain, run, action)
 WHERE node IS NULL AND available_at < 253370764800000000 AND action_limit = 0;
-- All tokens are 0 or more. Only who looks by time says so: SQLite would take this index for claims, too, and sort.
DROP INDEX queue_available;
CREATE INDEX queue_available ON queue (lane, available_at, action_limit)
 WHERE node IS NULL AND available_at < 253370764800000000 AND token >= 0;
