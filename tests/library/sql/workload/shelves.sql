-- pgbench scenario: somebody looks for books, and for what is overdue.
\set book random(1, 600)
\set branch random(1, 3)

BEGIN;
SELECT id, title, isbn FROM book WHERE id >= :book ORDER BY id LIMIT 20;
SELECT count(*), min(due_on) FROM loan WHERE branch_id = :branch AND returned_on IS NULL;
COMMIT;
