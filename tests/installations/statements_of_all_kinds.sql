-- variant: statements_of_all_kinds
-- kind: pg_stat_statements with utility statements, statements of other databases, failed, cut and very long ones
-- expect: passes

CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
SELECT pg_stat_statements_reset();
SELECT count(*) FROM customer WHERE org_id = (SELECT id FROM organization ORDER BY id LIMIT 1);
UPDATE customer SET phone = '1' WHERE false;
CREATE TABLE noted (id integer);
DROP TABLE noted;
