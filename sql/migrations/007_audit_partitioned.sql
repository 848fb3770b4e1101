-- Migration 007: audit_log becomes a partitioned table
-- phase: 4
-- requires: 005
--
-- What it is: audit_log, the largest table, written by triggers all the time, becomes a table partitioned by quarter of
-- timestamp. No row is copied: a partitioned twin is built beside it, and in one short step the two change names and the old
-- table, now audit_log_history, is attached as the default partition. Columns, defaults, rules, foreign keys, policies,
-- rights and comments are copied from what is there, whatever an installation added to them.
--
-- What it locks:
-- - building the twin: ACCESS SHARE on audit_log; SHARE ROW EXCLUSIVE on organization, and on the platform's users, for the
--   moment it takes to hang foreign keys of an empty table on them;
-- - the CHECK: ACCESS EXCLUSIVE on audit_log for the moment it takes to write it down (NOT VALID), then SHARE UPDATE
--   EXCLUSIVE while it reads the table once: reading and writing go on;
-- - the change of names: SHARE ROW EXCLUSIVE on organization and on the users, which ATTACH takes for the foreign keys, and
--   then ACCESS EXCLUSIVE on audit_log, all in one transaction, for some milliseconds. The CHECK proves that every row
--   may stay where it is, and every index has its twin: nothing is scanned, nothing is built. Whoever waits for
--   audit_log meanwhile goes on with the new table, for PostgreSQL looks the name up again after the wait.
--
-- What an operator must know:
-- - the quarters begin at a cutoff, the first of a quarter one to four months from now. Until then entries go on into
--   audit_log_history, from then on into their quarter. A cutoff so far off leaves time to finish, or to roll back,
--   before it matters, and rolling back before it moves no row;
-- - timestamp may be NULL, and stays so: a primary key over (id, timestamp) would forbid it. Rows without a timestamp live
--   in the default partition. So audit_log itself has no primary key; each partition has one on id. INSERT ... ON CONFLICT
--   (id) on audit_log is refused from now on; ON CONFLICT DO NOTHING, without columns, works;
-- - between the CHECK and the change of names, minutes on a large table, an entry dated at or after the cutoff is refused
--   ('infinity' is not). After it, and before, any is accepted. Entries that are dated so already stop the migration:
--   the check audit_log_dated_ahead names them before;
-- - a view, a trigger, a publication, a foreign key of somebody else's would stay with the old table: the check
--   audit_log_dependents names it before, and the change of names refuses to run while there is one;
-- - audit_log_later takes what is dated after the last quarter. SELECT create_partitions_ahead('audit_log') makes quarters
--   from it, at any time;
-- - a quarter that is no longer needed can be detached and archived; audit_log_history, as the default one, stays;
-- - audit_log_history keeps its own policies and rights: whoever names it meets the same guards as before.

-- step: a partitioned twin
CREATE TABLE audit_log_partitioned (
    LIKE audit_log INCLUDING ALL EXCLUDING INDEXES
) PARTITION BY RANGE (timestamp);

DO $$
DECLARE
    old       record;
    right_of  record;
    index     record;
BEGIN
    SELECT pg_get_userbyid(relowner) AS owner, relowner, relrowsecurity, relforcerowsecurity, relacl, relreplident
    INTO old
    FROM pg_class
    WHERE oid = 'audit_log'::regclass;

    IF old.relowner <> (SELECT relowner FROM pg_class WHERE oid = 'audit_log_partitioned'::regclass) THEN
        EXECUTE format('ALTER TABLE audit_log_partitioned OWNER TO %I', old.owner);
    END IF;
    EXECUTE format('COMMENT ON TABLE audit_log_partitioned IS %L', obj_description('audit_log'::regclass, 'pg_class'));
    IF old.relrowsecurity THEN
        EXECUTE 'ALTER TABLE audit_log_partitioned ENABLE ROW LEVEL SECURITY';
    END IF;
    IF old.relforcerowsecurity THEN
        EXECUTE 'ALTER TABLE audit_log_partitioned FORCE ROW LEVEL SECURITY';
    END IF;
    -- By whole rows, where subscribers were given them; an index of the old table is no index of the new one.
    IF old.relreplident = 'f' THEN
        EXECUTE 'ALTER TABLE audit_log_partitioned REPLICA IDENTITY FULL';
    END IF;

    -- Rights: none by default, then those of the old table, column by column where it has such.
    FOR right_of IN
        SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS grantee
        FROM pg_class, aclexplode(relacl)
        WHERE pg_class.oid = 'audit_log_partitioned'::regclass AND grantee <> relowner
    LOOP
        EXECUTE format('REVOKE ALL ON audit_log_partitioned FROM %s', right_of.grantee);
    END LOOP;
    FOR right_of IN
        SELECT
            privilege_type || CASE WHEN attname IS NULL THEN '' ELSE format(' (%I)', attname) END AS privilege,
            CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS grantee,
            CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END AS option
        FROM (
            SELECT NULL::name AS attname, old.relacl AS acl
            UNION ALL
            SELECT attname, attacl
            FROM pg_attribute
            WHERE attrelid = 'audit_log'::regclass AND attacl IS NOT NULL AND NOT attisdropped
        ) AS held, aclexplode(acl)
        WHERE grantee <> old.relowner
    LOOP
        EXECUTE format('GRANT %s ON audit_log_partitioned TO %s%s', right_of.privilege, right_of.grantee, right_of.option);
    END LOOP;

    -- Indexes that the old one can be attached to. A unique one without timestamp cannot span partitions.
    FOR index IN
        SELECT relname, substring(pg_get_indexdef(indexrelid) FROM ' USING .*') AS definition
        FROM pg_index
        JOIN pg_class ON pg_class.oid = indexrelid
        WHERE indrelid = 'audit_log'::regclass AND NOT indisunique AND indisvalid
        ORDER BY relname
    LOOP
        EXECUTE format(
            'CREATE INDEX %I ON audit_log_partitioned%s',
            'audit_log_all_' || regexp_replace(index.relname, '^audit_log_', ''),
            index.definition
        );
    END LOOP;
END
$$;

-- step: the twin belongs to organisations
DO $$
DECLARE
    link  record;
BEGIN
    FOR link IN
        SELECT conname, pg_get_constraintdef(oid) AS definition
        FROM pg_constraint
        WHERE conrelid = 'audit_log'::regclass AND contype = 'f' AND confrelid = 'organization'::regclass
    LOOP
        EXECUTE format('ALTER TABLE audit_log_partitioned ADD CONSTRAINT %I %s', link.conname, link.definition);
    END LOOP;
END
$$;

-- step: the twin names users
DO $$
DECLARE
    link  record;
BEGIN
    FOR link IN
        SELECT conname, pg_get_constraintdef(oid) AS definition
        FROM pg_constraint
        WHERE conrelid = 'audit_log'::regclass AND contype = 'f' AND confrelid <> 'organization'::regclass
    LOOP
        EXECUTE format('ALTER TABLE audit_log_partitioned ADD CONSTRAINT %I %s', link.conname, link.definition);
    END LOOP;
END
$$;

-- step: quarters ahead, and what comes after them
DO $$
DECLARE
    -- A month from now at least; 100 days after its first a quarter is over, and the next one is not.
    cutoff  timestamptz := date_trunc('quarter', date_trunc('quarter', now() + interval '1 month', 'UTC') + interval '100 days', 'UTC');
    later   regclass;
    made    regclass;
BEGIN
    PERFORM create_partitions_ahead('audit_log_partitioned', beginning => cutoff, named_after => 'audit_log');
    later := prepare_partition('audit_log_partitioned', 'audit_log_later', 'what comes after the last quarter');
    EXECUTE format(
        'ALTER TABLE audit_log_partitioned ATTACH PARTITION %s FOR VALUES FROM (%L) TO (''infinity'')',
        later,
        (SELECT max(high) FROM partition_bounds('audit_log_partitioned'))
    );
    FOR made IN SELECT part FROM partition_bounds('audit_log_partitioned') LOOP
        EXECUTE format(
            'COMMENT ON TABLE %s IS %L',
            made,
            replace(obj_description(made, 'pg_class'), 'audit_log_partitioned', 'audit_log')
        );
        IF (SELECT relreplident = 'f' FROM pg_class WHERE oid = 'audit_log'::regclass) THEN
            EXECUTE format('ALTER TABLE %s REPLICA IDENTITY FULL', made);
        END IF;
    END LOOP;
END
$$;

-- step: what is in audit_log may stay where it is
-- The default partition takes NULL, what is before the first quarter, and infinity: just what no other partition takes.
DO $$
BEGIN
    EXECUTE format(
        'ALTER TABLE audit_log ADD CONSTRAINT audit_log_dated_before_its_partitions'
        ' CHECK (timestamp IS NULL OR timestamp < %L OR timestamp >= ''infinity'') NOT VALID',
        (SELECT min(low) FROM partition_bounds('audit_log_partitioned'))
    );
END
$$;

-- step: every row of audit_log may stay where it is
ALTER TABLE audit_log VALIDATE CONSTRAINT audit_log_dated_before_its_partitions;

-- step: audit_log and its twin change names
-- lint: allow lock-table because the lock everybody feels is asked for last, when all others are held, and kept for milliseconds
-- lint: allow rename-table because both names change in this one transaction, and whoever waits looks the name up again
-- lint: allow attach-scans because the validated CHECK, under the table's old name, proves the bound
-- lint: allow many-strong-locks because ATTACH takes them together, and a step between would leave the application without audit_log
DO $$
DECLARE
    one     record;
    strays  text;
BEGIN
    -- What would stay behind with the old table. The check audit_log_dependents says what to do about it.
    SELECT string_agg(DISTINCT stray, ', ')
    INTO strays
    FROM (
        SELECT pg_describe_object(classid, objid, 0) AS stray
        FROM pg_depend
        LEFT JOIN pg_policy ON classid = 'pg_policy'::regclass AND pg_policy.oid = objid
        LEFT JOIN pg_constraint ON classid = 'pg_constraint'::regclass AND pg_constraint.oid = objid
        WHERE deptype = 'n'
          AND (
              (refclassid = 'pg_class'::regclass AND refobjid = 'audit_log'::regclass)
              OR (refclassid = 'pg_type'::regclass AND refobjid IN (
                  SELECT unnest(ARRAY[pg_type.oid, typarray]) FROM pg_type WHERE typrelid = 'audit_log'::regclass
              ))
          )
          AND coalesce(polrelid, conrelid, 0) <> 'audit_log'::regclass
        UNION ALL
        SELECT 'trigger ' || tgname FROM pg_trigger WHERE tgrelid = 'audit_log'::regclass AND NOT tgisinternal
        UNION ALL
        SELECT 'rule ' || rulename FROM pg_rewrite WHERE ev_class = 'audit_log'::regclass
        UNION ALL
        SELECT 'publication ' || pubname FROM pg_publication_rel JOIN pg_publication ON pg_publication.oid = prpubid
        WHERE prrelid = 'audit_log'::regclass
        UNION ALL
        SELECT 'inheritance of ' || inhrelid::regclass FROM pg_inherits WHERE 'audit_log'::regclass IN (inhrelid, inhparent)
        UNION ALL
        -- An index without its like would be built while everybody waits.
        SELECT 'no index like ' || indexrelid::regclass
        FROM pg_index AS wanted
        WHERE indrelid = 'audit_log_partitioned'::regclass
          AND NOT EXISTS (
              SELECT
              FROM pg_index AS there
              WHERE there.indrelid = 'audit_log'::regclass
                AND there.indisvalid
                AND NOT there.indisunique
                AND substring(pg_get_indexdef(there.indexrelid) FROM ' USING .*') = substring(pg_get_indexdef(wanted.indexrelid) FROM ' USING .*')
          )
    ) AS everything;
    IF strays IS NOT NULL THEN
        RAISE EXCEPTION 'audit_log cannot change names with its twin: %', strays
            USING ERRCODE = 'dependent_objects_still_exist',
                  HINT = 'The check audit_log_dependents says what to do.';
    END IF;

    -- ATTACH takes these for the foreign keys. Asked for first, nobody waits for audit_log while we wait for them.
    FOR one IN
        SELECT DISTINCT confrelid::regclass AS referenced
        FROM pg_constraint
        WHERE conrelid = 'audit_log_partitioned'::regclass AND contype = 'f' AND has_table_privilege(confrelid, 'UPDATE')
    LOOP
        EXECUTE format('LOCK TABLE ONLY %s IN SHARE ROW EXCLUSIVE MODE', one.referenced);
    END LOOP;
    LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE;

    ALTER TABLE audit_log RENAME TO audit_log_history;
    ALTER TABLE audit_log_partitioned RENAME TO audit_log;
    ALTER TABLE audit_log ATTACH PARTITION audit_log_history DEFAULT;

    FOR one IN
        SELECT
            format(
                'CREATE POLICY %I ON audit_log AS %s FOR %s TO %s%s%s',
                polname,
                CASE WHEN polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                CASE polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
                (
                    SELECT string_agg(CASE role WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(role)) END, ', ')
                    FROM unnest(polroles) AS role
                ),
                ' USING (' || replace(pg_get_expr(polqual, polrelid), 'audit_log_history.', 'audit_log.') || ')',
                ' WITH CHECK (' || replace(pg_get_expr(polwithcheck, polrelid), 'audit_log_history.', 'audit_log.') || ')'
            ) AS definition
        FROM pg_policy
        WHERE polrelid = 'audit_log_history'::regclass
    LOOP
        EXECUTE one.definition;
    END LOOP;
END
$$;

-- step: statistics of audit_log
-- Autovacuum analyzes partitions, never the partitioned table itself. Statistics that somebody defined over an expression
-- may fail by themselves: that is told, and fails nothing.
DO $$
BEGIN
    ANALYZE audit_log;
EXCEPTION
    WHEN lock_not_available OR deadlock_detected THEN RAISE;
    WHEN OTHERS THEN RAISE WARNING 'audit_log has no new statistics: %', SQLERRM;
END
$$;
