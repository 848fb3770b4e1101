-- variant: audit_log_has_more
-- kind: columns of the owner's in audit_log and customer, after those of the application
-- expect: passes

ALTER TABLE audit_log
    ADD COLUMN request_id uuid,
    ADD COLUMN session_label text DEFAULT 'none' NOT NULL;
ALTER TABLE customer ADD COLUMN loyalty_points integer DEFAULT 0 NOT NULL;
ALTER TABLE audit_log ALTER COLUMN table_name SET STATISTICS 500;
ALTER TABLE audit_log SET (autovacuum_vacuum_scale_factor = 0.02);
