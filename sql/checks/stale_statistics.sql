-- check: stale_statistics
-- title: Tables whose statistics are missing or old
-- severity: warn
-- phases: all
-- expected: every table with rows analysed, and not changed by more than a fifth since
-- action: ANALYZE the tables: plans, and the comparison of before with after, are guesswork until then
-- reads: pg_stats, pg_stat_user_tables
-- A table of four pages or fewer is planned well enough without.
SELECT
    pg_class.relname::text AS object,
    coalesce(n_mod_since_analyze, 0) AS found,
    CASE WHEN seen.analysed THEN 'changed by more than a fifth since it was analysed' ELSE 'never analysed' END AS detail
FROM pg_class
LEFT JOIN pg_stat_user_tables AS stat ON stat.relid = pg_class.oid
CROSS JOIN LATERAL (
    SELECT EXISTS (SELECT FROM pg_stats WHERE schemaname = 'public' AND tablename = pg_class.relname) AS analysed
) AS seen
WHERE pg_class.relnamespace = 'public'::regnamespace
  AND relkind = 'r'
  AND pg_relation_size(pg_class.oid) > 4 * 8192
  AND (NOT seen.analysed OR n_mod_since_analyze > 1000 + greatest(reltuples, 0) / 5)
ORDER BY pg_class.relname
