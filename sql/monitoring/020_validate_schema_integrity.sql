-- The strategy's post-migration suite: its four checks as it words them, and the sharper ones of phase 5.
-- Reads catalogues, locks nothing; may be installed again.
-- requires: the schema mantis_runbook, and its table finding_before
-- What phase 0 found on this database before the first migration is not held against the migration.
CREATE OR REPLACE FUNCTION mantis_runbook.validate_schema_integrity()
    RETURNS TABLE (
        check_name  text,
        status      text,
        details     text
    )
    LANGUAGE sql
    STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT
        'table_count',
        CASE WHEN count(*) >= 50 THEN 'PASS' ELSE 'FAIL' END,
        'Expected minimum 50 tables, found: ' || count(*)
    FROM information_schema.tables
    WHERE table_schema = 'public'

    UNION ALL
    SELECT
        'rls_policies',
        CASE WHEN count(*) >= 30 THEN 'PASS' ELSE 'FAIL' END,
        'Expected minimum 30 RLS policies, found: ' || count(*)
    FROM pg_policies
    WHERE schemaname = 'public'

    UNION ALL
    SELECT
        'performance_indexes',
        CASE WHEN count(*) >= 100 THEN 'PASS' ELSE 'FAIL' END,
        'Expected minimum 100 indexes, found: ' || count(*)
    FROM pg_indexes
    WHERE schemaname = 'public'

    UNION ALL
    SELECT
        'constraints',
        CASE WHEN count(*) >= 150 THEN 'PASS' ELSE 'FAIL' END,
        'Expected minimum 150 constraints, found: ' || count(*)
    FROM information_schema.table_constraints
    WHERE table_schema = 'public'

    UNION ALL
    SELECT
        'invalid_indexes',
        CASE WHEN count(*) = 0 THEN 'PASS' ELSE 'FAIL' END,
        'Expected no invalid index, found: ' || coalesce(string_agg(relname, ', ' ORDER BY relname), '0')
    FROM pg_index
    JOIN pg_class ON pg_class.oid = indexrelid
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = 'public'
      AND NOT (indisvalid AND indisready)
      AND NOT EXISTS (
          SELECT
          FROM pg_stat_progress_create_index AS build
          WHERE build.index_relid = indexrelid
             OR (build.relid = indrelid AND build.index_relid = 0)
      )
      AND NOT EXISTS (
          SELECT
          FROM mantis_runbook.finding_before
          WHERE finding_before.check_name = 'invalid_indexes'
            AND object = format('%I on %I', relname, (SELECT relname FROM pg_class AS owner WHERE owner.oid = indrelid))
      )

    UNION ALL
    SELECT
        'unvalidated_constraints',
        CASE WHEN count(*) = 0 THEN 'PASS' ELSE 'FAIL' END,
        'Expected no unvalidated constraint, found: ' || coalesce(string_agg(conname, ', ' ORDER BY conname), '0')
    FROM pg_constraint
    JOIN pg_namespace ON pg_namespace.oid = connamespace
    WHERE nspname = 'public'
      AND conparentid = 0
      AND NOT convalidated
      AND NOT EXISTS (
          SELECT
          FROM mantis_runbook.finding_before
          WHERE finding_before.check_name = 'unvalidated_constraints'
            AND object = format('%I on %I', conname, (SELECT relname FROM pg_class WHERE pg_class.oid = conrelid))
      )

    UNION ALL
    SELECT
        'tenant_policies',
        CASE WHEN count(*) = 0 THEN 'PASS' ELSE 'FAIL' END,
        'Expected no tenant table without a policy, found: ' || coalesce(string_agg(relname, ', ' ORDER BY relname), '0')
    FROM (
        -- What belongs to an organisation: what carries org_id, and what refers to such a table, however far.
        WITH RECURSIVE tenant AS (
            SELECT oid
            FROM pg_class
            WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'public')
              AND relkind IN ('r', 'p')
              AND NOT relispartition
              AND (
                  relname = 'organization'
                  OR EXISTS (SELECT FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'org_id' AND NOT attisdropped)
              )
            UNION
            SELECT conrelid
            FROM pg_constraint
            JOIN tenant ON tenant.oid = confrelid
            JOIN pg_class ON pg_class.oid = conrelid
            WHERE contype = 'f'
              AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'public')
              AND NOT relispartition
        )
        SELECT relname
        FROM tenant
        JOIN pg_class USING (oid)
        WHERE (NOT relrowsecurity OR NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = pg_class.oid))
          AND NOT EXISTS (
              SELECT
              FROM mantis_runbook.finding_before
              WHERE finding_before.check_name = 'tenant_tables_without_rls' AND object = relname
          )
    ) AS unguarded
$$;

COMMENT ON FUNCTION mantis_runbook.validate_schema_integrity() IS
    'The strategy''s four counts with its thresholds, and: no invalid index, no unvalidated constraint, no tenant table without a policy.';
