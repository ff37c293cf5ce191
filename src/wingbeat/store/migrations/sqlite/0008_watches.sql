-- Watchers ask what changed lately: among the actions of a run, and among all runs.
CREATE INDEX action_by_change ON action (project, domain, run, updated_at) WHERE parent IS NOT NULL;
CREATE INDEX action_root_by_change ON action (updated_at) WHERE parent IS NULL;
