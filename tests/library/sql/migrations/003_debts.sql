-- Migration 003: Debts of readers
-- phase: 2
-- requires: 002
--
-- What it is: a view over the fines of 002, and how severe a debt is.
-- What it locks: nothing that a reader or a writer notices.

-- step: how severe a debt is
CREATE TYPE severity AS ENUM ('none', 'small', 'large');

-- step: debts of readers
CREATE VIEW reader_debt WITH (security_invoker = true) AS
SELECT
    reader_id,
    sum(fine_cents) AS cents,
    CASE WHEN sum(fine_cents) > 1000 THEN 'large' WHEN sum(fine_cents) > 0 THEN 'small' ELSE 'none' END::severity AS severity
FROM loan
GROUP BY reader_id;
