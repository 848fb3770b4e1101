-- variant: large_objects
-- kind: large objects with rights and comments, and a table that names them
-- expect: passes

CREATE TABLE attachment (id integer PRIMARY KEY, tenant uuid, body oid);
INSERT INTO attachment
SELECT n, (SELECT id FROM organization ORDER BY id LIMIT 1), lo_from_bytea(0, decode(repeat(md5(n::text), 500), 'hex'))
FROM generate_series(1, 8) AS n;

DO $$
DECLARE
    body  oid;
BEGIN
    FOR body IN SELECT a.body FROM attachment AS a LOOP
        EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO authenticated', body);
        EXECUTE format('COMMENT ON LARGE OBJECT %s IS %L', body, 'scanned');
    END LOOP;
END
$$;
