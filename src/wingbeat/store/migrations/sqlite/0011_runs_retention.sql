-- A run that is pruned keeps its row, and its name, until nobody can be writing below its name any more: first its
-- actions and files go, and it is cleared; long after that goes the row.
ALTER TABLE run ADD COLUMN pruned_at INTEGER;
ALTER TABLE run ADD COLUMN cleared_at INTEGER;
CREATE INDEX run_to_clear ON run (pruned_at) WHERE pruned_at IS NOT NULL AND cleared_at IS NULL;
CREATE INDEX run_cleared ON run (cleared_at) WHERE cleared_at IS NOT NULL;
CREATE INDEX action_root_by_end ON action (project, domain, ended_at, run) WHERE parent IS NULL AND ended_at IS NOT NULL;

-- What a run has not written itself and reads: inputs, outputs of actions that it did not have to run.
CREATE TABLE run_need (
    source_project TEXT NOT NULL,
    source_domain TEXT NOT NULL,
    source_run TEXT NOT NULL,
    project TEXT NOT NULL,
    domain TEXT NOT NULL,
    run TEXT NOT NULL,
    PRIMARY KEY (source_project, source_domain, source_run, project, domain, run)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_need_by_run ON run_need (project, domain, run);

-- Specs that nothing seems to use any more. A run that begins at this very moment may: so they are kept for a while.
CREATE TABLE buried_spec (
    digest TEXT PRIMARY KEY,
    spec BLOB NOT NULL,
    buried_at INTEGER NOT NULL
) STRICT;
CREATE INDEX buried_spec_by_age ON buried_spec (buried_at);
CREATE INDEX action_by_spec ON action (spec_digest);
CREATE INDEX task_by_spec ON task (spec_digest);

-- Who speaks of an upload: specs of tasks, revisions of triggers, inputs. `path` is what follows "uploads/" in a URI, and
-- perhaps more: what is spoken of is a beginning of it.
CREATE TABLE upload_use (
    path TEXT NOT NULL,
    holder TEXT NOT NULL,
    PRIMARY KEY (path, holder)
) STRICT, WITHOUT ROWID;
CREATE INDEX upload_use_by_holder ON upload_use (holder);
CREATE INDEX run_by_upload ON run (input_uri) WHERE inputs IS NULL AND pruned_at IS NULL;
