-- No row: every account has its currency.
-- step: currency
SELECT id FROM account WHERE currency IS NULL;
