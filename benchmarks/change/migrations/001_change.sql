-- Migration 001: The change of plain.sql, in the runbook's steps
-- phase: 1
-- step: accounts can have a currency
ALTER TABLE account ADD COLUMN currency text;
-- step: currency of accounts  batched over account
UPDATE account
SET currency = CASE region WHEN 'eu' THEN 'EUR' WHEN 'us' THEN 'USD' ELSE 'ZAR' END
WHERE id > $1
  AND id <= $2
  AND currency IS NULL;
-- step: accounts to come have a currency
ALTER TABLE account ADD CONSTRAINT account_has_currency CHECK (currency IS NOT NULL) NOT VALID;
-- step: every account has a currency
ALTER TABLE account VALIDATE CONSTRAINT account_has_currency;
-- step: accounts need a currency
ALTER TABLE account ALTER COLUMN currency SET NOT NULL;
ALTER TABLE account DROP CONSTRAINT account_has_currency;
-- step: purchases belong to accounts
-- lint: allow lock-table because the application writes an account and then its purchase: ADD FOREIGN KEY by itself locks the other way round, and writers would wait until it gives way
LOCK TABLE account IN SHARE ROW EXCLUSIVE MODE;
ALTER TABLE purchase ADD CONSTRAINT purchase_account FOREIGN KEY (account_id) REFERENCES account (id) NOT VALID;
-- step: every purchase belongs to an account
ALTER TABLE purchase VALIDATE CONSTRAINT purchase_account;
-- step: purchases are found by their account
CREATE INDEX CONCURRENTLY purchase_account_id_idx ON purchase (account_id);
-- step: events of 2026 are of 2026
ALTER TABLE event_2026
    ADD CONSTRAINT event_2026_is_of_2026 CHECK (at >= '2026-01-01 00:00+00' AND at < '2027-01-01 00:00+00') NOT VALID;
-- step: every event of 2026 is of 2026
ALTER TABLE event_2026 VALIDATE CONSTRAINT event_2026_is_of_2026;
-- step: events of 2026 join the others
ALTER TABLE event ATTACH PARTITION event_2026 FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2027-01-01 00:00+00');
