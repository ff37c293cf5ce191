-- Lists of runs go by phase and by age. With the phase in front of the age, one index serves both: a list by age is a merge
-- of ten ranges. Every run pays for these, so there is one for each thing that people list runs of, and no more.
DROP INDEX action_root_by_phase;
DROP INDEX action_root_by_age;
DROP INDEX action_root_by_task;
DROP INDEX action_root_by_trigger;
CREATE INDEX action_root_of_all ON action (phase, created_at, run) WHERE parent IS NULL;
CREATE INDEX action_root_by_scope ON action (project, domain, phase, created_at, run) WHERE parent IS NULL;
CREATE INDEX action_root_by_task_name ON action (project, domain, task_name, phase, created_at, run)
    WHERE parent IS NULL;
CREATE INDEX action_root_by_task ON action (task_project, task_domain, task_name, phase, created_at, run)
    WHERE parent IS NULL;
CREATE INDEX action_root_by_version ON action
    (task_project, task_domain, task_name, task_version, phase, created_at, run) WHERE parent IS NULL;
CREATE INDEX action_root_by_trigger ON action (trigger_id, phase, created_at, run)
    WHERE parent IS NULL AND trigger_id IS NOT NULL;
CREATE INDEX action_paused ON action (project, domain, run) WHERE phase = 9;

CREATE INDEX trigger_of_all ON trigger_spec (active, updated_at, trigger_id) WHERE deleted_at IS NULL;

-- The version of each task that was deployed last.
CREATE TABLE task_latest (
    project TEXT NOT NULL,
    domain TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (project, domain, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX task_latest_by_age ON task_latest (project, domain, created_at, name);
CREATE INDEX task_latest_of_all ON task_latest (created_at, name, project, domain);
INSERT INTO task_latest (project, domain, name, version, created_at)
SELECT t.project, t.domain, t.name, t.version, t.created_at
  FROM task t
 WHERE NOT EXISTS (SELECT 1 FROM task n
                    WHERE n.project = t.project AND n.domain = t.domain AND n.name = t.name
                      AND (n.created_at, n.version) > (t.created_at, t.version));
