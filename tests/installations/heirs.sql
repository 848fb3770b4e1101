-- variant: heirs
-- kind: tables of the owner's that INHERIT from ours
-- expect: passes or refused
-- names: inherit
-- reason: a column that is added to a table is added to its heirs, and rolled back with them; the owner may be asked first

CREATE TABLE customer_archive (archived_at timestamptz DEFAULT now()) INHERITS (customer);
ALTER TABLE customer_archive ADD PRIMARY KEY (id);
INSERT INTO customer_archive SELECT * FROM ONLY customer ORDER BY id LIMIT 15;
UPDATE customer_archive SET id = gen_random_uuid();
ALTER TABLE customer_archive ENABLE ROW LEVEL SECURITY;
CREATE POLICY customer_archive_of_own_organization ON customer_archive USING (org_id = (SELECT current_org_id()));
CREATE TABLE supplier_archive () INHERITS (supplier);
INSERT INTO supplier_archive SELECT * FROM ONLY supplier ORDER BY id LIMIT 3;
ALTER TABLE supplier_archive ENABLE ROW LEVEL SECURITY;
CREATE POLICY supplier_archive_of_own_organization ON supplier_archive USING (org_id = (SELECT current_org_id()));
