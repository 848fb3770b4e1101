-- variant: heirs
-- kind: a table of the owner's that INHERITs from customer, which gets a currency
-- expect: refused
-- names: inherit
-- reason: the column comes to the heir as well, NOT NULL, and the trigger that fills it does not: the owner says what fills it

CREATE TABLE customer_archive (archived_at timestamptz DEFAULT now()) INHERITS (customer);
ALTER TABLE customer_archive ADD PRIMARY KEY (id);
INSERT INTO customer_archive SELECT * FROM ONLY customer ORDER BY id LIMIT 15;
UPDATE customer_archive SET id = gen_random_uuid();
ALTER TABLE customer_archive ENABLE ROW LEVEL SECURITY;
CREATE POLICY customer_archive_of_own_organization ON customer_archive USING (org_id = (SELECT current_org_id()));
