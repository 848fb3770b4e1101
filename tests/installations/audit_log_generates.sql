-- variant: audit_log_generates
-- kind: a generated column of the owner's in audit_log
-- expect: refused
-- names: generated column
-- reason: a rollback of phase 4 moves rows from partitions to the table as they are, and a generated column takes none

ALTER TABLE audit_log ADD COLUMN old_size integer GENERATED ALWAYS AS (length(old_data::text)) STORED;
