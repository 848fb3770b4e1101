-- What the checks of phase 0 found on this database before the first migration: a database is compared with itself, and
-- what was so before warns later on, where only what got worse fails. Locks nothing that exists.
CREATE TABLE IF NOT EXISTS mantis_runbook.finding_before (
    check_name text NOT NULL,
    object text NOT NULL,
    found bigint NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (check_name, object)
);

COMMENT ON TABLE mantis_runbook.finding_before IS
    'Findings of the checks from before the first migration, noted anew by phase 0 for as long as none is applied: names and counts, no data.';
