-- variant: owners_tables
-- kind: tables of the owner's with org_id: without rows, without RLS, with a policy of their own, without a primary key
-- expect: passes

CREATE TABLE loyalty_program (
    id          uuid  PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id      uuid  NOT NULL REFERENCES organization ON DELETE CASCADE,
    name        text  NOT NULL
);
ALTER TABLE loyalty_program ENABLE ROW LEVEL SECURITY;
CREATE POLICY loyalty_program_of_own_organization ON loyalty_program USING (org_id = (SELECT current_org_id()));
GRANT SELECT, INSERT, UPDATE, DELETE ON loyalty_program TO authenticated;

CREATE TABLE import_staging (
    org_id   uuid,
    payload  jsonb
);
INSERT INTO import_staging SELECT id, '{"a": 1}' FROM organization;
INSERT INTO import_staging SELECT id, '{"a": 1}' FROM organization;

CREATE TABLE feature_flag (
    org_id      uuid     NOT NULL REFERENCES organization,
    name        text     NOT NULL,
    is_enabled  boolean  DEFAULT false,
    PRIMARY KEY (org_id, name)
);
INSERT INTO feature_flag SELECT id, 'beta' FROM organization;
ALTER TABLE feature_flag ENABLE ROW LEVEL SECURITY;

CREATE SCHEMA reporting;
CREATE TABLE reporting.snapshot (org_id uuid, taken_at timestamptz, figures jsonb);
CREATE MATERIALIZED VIEW reporting.customers_per_org AS SELECT org_id, count(*) FROM customer GROUP BY org_id;
