-- pgbench scenario: an account is looked at, pays, and what happened is noted. `rows` is the number of accounts.
\set id random(1, :rows)
\set known random(1, :rows)
BEGIN;
SELECT id, region, name, balance FROM account WHERE id = :id;
SELECT id, account_id, placed_at, amount FROM purchase WHERE id = :known;
UPDATE account SET balance = balance + 1 WHERE id = :id;
INSERT INTO purchase (account_id, amount) VALUES (:id, 10);
INSERT INTO event (at, account_id, what) VALUES ('2025-06-01 00:00+00', :id, 'paid');
COMMIT;
