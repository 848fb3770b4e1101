-- variant: dropped_column
-- kind: a table with dropped columns, and one that was dropped and added again at the end
-- expect: passes

ALTER TABLE customer ADD COLUMN legacy_code text DEFAULT 'x', ADD COLUMN legacy_rank integer;
ALTER TABLE customer DROP COLUMN legacy_code;
ALTER TABLE customer DROP COLUMN company;
ALTER TABLE customer ADD COLUMN company text;
UPDATE customer SET company = 'of ' || name;
ALTER TABLE audit_log ADD COLUMN legacy integer;
ALTER TABLE audit_log DROP COLUMN legacy;
ALTER TABLE ai_message ADD COLUMN legacy integer;
ALTER TABLE ai_message DROP COLUMN legacy;
ALTER TABLE organization DROP COLUMN updated_at;
DROP TRIGGER set_updated_at ON organization;
ALTER TABLE organization ADD COLUMN updated_at timestamptz DEFAULT now();
