-- The change as the strategy's script applies one: a single transaction, by `psql -f`.
BEGIN;

ALTER TABLE account ADD COLUMN currency text;
UPDATE account SET currency = CASE region WHEN 'eu' THEN 'EUR' WHEN 'us' THEN 'USD' ELSE 'ZAR' END;
ALTER TABLE account ALTER COLUMN currency SET NOT NULL;

ALTER TABLE purchase ADD CONSTRAINT purchase_account FOREIGN KEY (account_id) REFERENCES account (id);
CREATE INDEX purchase_account_id_idx ON purchase (account_id);

ALTER TABLE event ATTACH PARTITION event_2026 FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2027-01-01 00:00+00');

COMMIT;
