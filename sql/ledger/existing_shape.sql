-- Which schema_migrations is there: 'none', 'ours' (the strategy's columns) or 'foreign'. Reads only.
SELECT CASE
    WHEN to_regclass(%(table)s) IS NULL THEN 'none'
    WHEN (
        SELECT array_agg(attname::text ORDER BY attname)
        FROM pg_attribute
        WHERE attrelid = to_regclass(%(table)s) AND attnum > 0 AND NOT attisdropped
    ) = '{applied_at,checksum,description,id,rollback_sql,status,version}' THEN 'ours'
    ELSE 'foreign'
END
