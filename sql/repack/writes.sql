-- Rows of a table that sessions tried to insert, update and delete since its counters began, and when they began. A
-- session adds its own when it is idle: up to a second late when busy, ten when it is not. Locks nothing.
SELECT
    n_tup_ins AS inserted,
    n_tup_upd AS updated,
    n_tup_del AS deleted,
    coalesce((SELECT stats_reset::text FROM pg_stat_database WHERE datname = current_database()), '') AS since
FROM pg_stat_all_tables
WHERE relid = format('public.%%I', %s::text)::regclass
