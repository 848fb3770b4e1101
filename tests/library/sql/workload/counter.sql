-- pgbench scenario: at the counter a book is lent, and given back. What it inserts it deletes again.
\set reader random(1, 300)
\set book random(1, 600)

BEGIN;
SELECT id, name, branch_id FROM reader WHERE id = :reader;
SELECT id, due_on FROM loan WHERE reader_id = :reader AND returned_on IS NULL ORDER BY due_on LIMIT 20;
INSERT INTO loan (branch_id, reader_id, book_id, lent_on, due_on) VALUES (1, :reader, :book, date '2026-01-01', date '2026-01-29');
UPDATE loan SET returned_on = date '2026-01-02' WHERE reader_id = :reader AND lent_on = date '2026-01-01';
DELETE FROM loan WHERE reader_id = :reader AND lent_on = date '2026-01-01';
COMMIT;
