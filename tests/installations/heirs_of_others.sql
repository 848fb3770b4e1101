-- variant: heirs_of_others
-- kind: tables of the owner's that INHERIT from tables of the application to which phase 3 adds nothing
-- expect: passes

CREATE TABLE supplier_archive () INHERITS (supplier);
INSERT INTO supplier_archive SELECT * FROM ONLY supplier ORDER BY id LIMIT 3;
ALTER TABLE supplier_archive ENABLE ROW LEVEL SECURITY;
CREATE POLICY supplier_archive_of_own_organization ON supplier_archive USING (org_id = (SELECT current_org_id()));
CREATE TABLE supplier_abroad (country text DEFAULT 'unknown') INHERITS (supplier);
ALTER TABLE supplier_abroad ENABLE ROW LEVEL SECURITY;
