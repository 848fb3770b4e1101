-- variant: one_tenant
-- kind: an installation of one tenant only
-- expect: passes

SET session_replication_role = replica;

DO $$
DECLARE
    owned   record;
    keeper  uuid := (SELECT org_id FROM customer GROUP BY org_id ORDER BY count(*) DESC, org_id LIMIT 1);
BEGIN
    DELETE FROM organization WHERE id <> keeper;
    FOR owned IN
        SELECT relname AS name
        FROM pg_class
        JOIN pg_attribute ON attrelid = pg_class.oid AND attname = 'org_id'
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    LOOP
        EXECUTE format('DELETE FROM %I WHERE org_id <> %L', owned.name, keeper);
    END LOOP;
    -- What the deleted rows were referenced by, child after parent.
    FOR i IN 1..5 LOOP
        FOR owned IN
            SELECT conrelid::regclass AS child, a.attname AS col, confrelid::regclass AS parent, r.attname AS key
            FROM pg_constraint
            JOIN pg_attribute AS a ON a.attrelid = conrelid AND a.attnum = conkey[1]
            JOIN pg_attribute AS r ON r.attrelid = confrelid AND r.attnum = confkey[1]
            JOIN pg_class ON pg_class.oid = conrelid
            WHERE contype = 'f' AND conparentid = 0 AND cardinality(conkey) = 1 AND NOT relispartition
              AND pg_constraint.connamespace = 'public'::regnamespace AND confrelid <> 'auth.users'::regclass
        LOOP
            EXECUTE format(
                'DELETE FROM %s AS c WHERE %I IS NOT NULL AND NOT EXISTS (SELECT FROM %s AS p WHERE p.%I = c.%I)',
                owned.child, owned.col, owned.parent, owned.key, owned.col
            );
        END LOOP;
    END LOOP;
END
$$;

RESET session_replication_role;
