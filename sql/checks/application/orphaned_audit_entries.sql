-- check: orphaned_audit_entries
-- title: Audit entries whose row is gone without a record of its deletion
-- severity: warn
-- phases: 0,5
-- expected: every audited row either there, or its deletion audited too
-- action: the audit trail has a gap (TRUNCATE, or triggers switched off): write down in the run's notes what is missing; nothing of the migration depends on it
-- reads: audit_log once a table, and the keys of the audited tables
-- each: counts
-- A name in audit_log has letters and underscores only: user_2fa is user_two_fa there.
SELECT
    format('audit_log about %I', relname) AS object,
    format(
        'SELECT count(*), format(''%%s row(s) are gone and no deletion is recorded'', count(*))'
        ' FROM (SELECT record_id FROM public.audit_log WHERE table_name = %L AND record_id IS NOT NULL'
        ' GROUP BY record_id HAVING NOT bool_or(action = ''DELETE'')) AS entry'
        ' WHERE NOT EXISTS (SELECT FROM %I.%I AS r WHERE r.id = entry.record_id)',
        regexp_replace(replace(relname, '2fa', 'two_fa'), '[^a-z_]', '_', 'g'),
        nspname,
        relname
    ) AS statement
FROM pg_class
JOIN pg_namespace ON pg_namespace.oid = relnamespace
JOIN pg_attribute ON attrelid = pg_class.oid AND attname = 'id' AND atttypid = 'uuid'::regtype
WHERE nspname = 'public'
  AND relkind IN ('r', 'p')
  AND NOT relispartition
ORDER BY relname
