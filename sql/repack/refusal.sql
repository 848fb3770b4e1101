-- What pg_repack needs of a table of the schema public and of our role. A key is what pg_repack takes for one:
-- a valid unique index, whole, on columns that are NOT NULL. Locks nothing.
SELECT
    relkind::text AS relkind,
    relpersistence::text AS relpersistence,
    row_security_active(pg_class.oid) AS hides_rows,
    EXISTS (
        SELECT FROM pg_index
        WHERE indrelid = pg_class.oid
          AND indisunique
          AND indisvalid
          AND indpred IS NULL
          AND 0 <> ALL (indkey)
          AND NOT EXISTS (
              SELECT FROM pg_attribute WHERE attrelid = indrelid AND attnum = ANY (indkey) AND NOT attnotnull
          )
    ) AS has_key,
    pg_has_role(relowner, 'USAGE') AS is_owner,
    pg_get_userbyid(relowner)::text AS owner
FROM pg_class
WHERE oid = format('public.%%I', %s::text)::regclass
