-- check: prepared_transactions
-- title: Prepared transactions
-- severity: fail
-- phases: all
-- expected: none in this database
-- action: ask the transaction manager that left them, then COMMIT PREPARED or ROLLBACK PREPARED: they hold locks over restarts, and CREATE INDEX CONCURRENTLY waits for them for ever
-- reads: pg_prepared_xacts
SELECT
    'prepared transaction' AS object,
    1::bigint AS found,
    format('of role %I, since %s', owner, date_trunc('second', prepared)) AS detail
FROM pg_prepared_xacts
WHERE database = current_database()
ORDER BY prepared
