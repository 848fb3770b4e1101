-- The runbook's own schema: journal of steps, fence, decisions, heads of archived runs, canaries of the probe. Locks nothing that exists.
CREATE SCHEMA IF NOT EXISTS mantis_runbook;

COMMENT ON SCHEMA mantis_runbook IS 'Mantis Runbook: journal, fence, decisions and monitoring functions. The application does not use it.';

CREATE TABLE IF NOT EXISTS mantis_runbook.journal (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run text NOT NULL,
    version text NOT NULL,
    direction text NOT NULL CHECK (direction IN ('up', 'rollback')),
    step text,
    statement_sha256 text,
    state text NOT NULL CHECK (state IN ('begun', 'started', 'batch', 'done', 'ended')),
    who text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    lsn pg_lsn DEFAULT CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_insert_lsn() END,
    duration_ms numeric,
    attempts integer,
    lock_waits integer,
    detail jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT a_step_row_names_its_step CHECK ((step IS NULL) = (state IN ('begun', 'ended')))
);

COMMENT ON TABLE mantis_runbook.journal IS 'What was done to this database, step by step; a transactional step and its row commit together.';
COMMENT ON COLUMN mantis_runbook.journal.state IS
    'begun/ended: one pass over a script; started: before a statement outside a transaction; batch: a committed part of a backfill; done: the step is complete.';
COMMENT ON COLUMN mantis_runbook.journal.detail IS 'batch: the last key and the number of rows; done: what the engine found worth keeping.';

CREATE INDEX IF NOT EXISTS journal_version_idx ON mantis_runbook.journal (version, id);

CREATE TABLE IF NOT EXISTS mantis_runbook.fence (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    token bigint NOT NULL,
    run text NOT NULL,
    who text NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE mantis_runbook.fence IS 'One row: the runner that may change the database. A runner with an older token must stop.';

CREATE TABLE IF NOT EXISTS mantis_runbook.decision (
    subject text NOT NULL,
    key text NOT NULL,
    value text NOT NULL,
    decided_by text NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subject, key)
);

COMMENT ON TABLE mantis_runbook.decision IS 'What an operator decided where the data left a choice, such as the currency an unknown code stands for.';

CREATE TABLE IF NOT EXISTS mantis_runbook.archive (
    run text PRIMARY KEY,
    head text NOT NULL,
    verdict text NOT NULL,
    archived_at timestamptz NOT NULL DEFAULT now()
);

COMMENT ON TABLE mantis_runbook.archive IS 'SHA-256 of each archived run''s manifest: a second place, since a chain kept in one place can be rewritten there.';

CREATE TABLE IF NOT EXISTS mantis_runbook.canary (
    probe text NOT NULL,
    number bigint NOT NULL,
    written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (probe, number)
);

COMMENT ON TABLE mantis_runbook.canary IS 'Rows that a probe writes while a migration runs: each one that was acknowledged must be there afterwards. Rows of a probe that found all of its own are deleted by it.';
