-- What a role that is no superuser lacks to run pg_repack, as the GRANT to give. Locks nothing. Requires: the extension.
SELECT format('GRANT %s TO %I', missing.words, current_user) AS "grant"
FROM (
    VALUES
        ('USAGE, CREATE ON SCHEMA repack',
         has_schema_privilege('repack', 'USAGE') AND has_schema_privilege('repack', 'CREATE')),
        ('SELECT ON ALL TABLES IN SCHEMA repack',
         (
             SELECT bool_and(has_table_privilege(pg_class.oid, 'SELECT'))
             FROM pg_class
             JOIN pg_namespace ON pg_namespace.oid = relnamespace
             WHERE nspname = 'repack' AND relname IN ('tables', 'primary_keys')
         )),
        ('EXECUTE ON ALL FUNCTIONS IN SCHEMA repack',
         (
             SELECT bool_and(has_function_privilege(pg_proc.oid, 'EXECUTE'))
             FROM pg_proc
             JOIN pg_namespace ON pg_namespace.oid = pronamespace
             WHERE nspname = 'repack'
         ))
) AS missing (words, granted)
WHERE NOT granted
