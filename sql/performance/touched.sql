-- Tables that this transaction has written to so far; rolled back, they hold dead rows.
-- reads: pg_stat_xact_user_tables
SELECT relid::bigint AS oid, format('%I.%I', schemaname, relname) AS name
FROM pg_stat_xact_user_tables
WHERE n_tup_ins + n_tup_upd + n_tup_del > 0
ORDER BY name
