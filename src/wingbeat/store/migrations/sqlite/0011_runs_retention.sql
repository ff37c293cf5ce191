-- The latest run of a version, whatever the number of its runs and of the task's other versions.
CREATE INDEX action_root_by_version ON action (task_project, task_domain, task_name, task_version, created_at, run)
    WHERE parent IS NULL;
