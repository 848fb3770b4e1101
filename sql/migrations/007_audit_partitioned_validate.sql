-- Migration 007: audit_log becomes a partitioned table, validation
--
-- What it is: each step raises, or returns rows, when something is not as 007 made it: what the application sees of audit_log
-- is what it saw before, for audit_log_history still is just that. It reads catalogues, and writes entries that are gone when
-- the step is over.
--
-- What it locks: nothing but ACCESS SHARE, and the rows it makes itself.

-- step: audit_log is partitioned, and its old rows are in the default partition
DO $$
BEGIN
    ASSERT (SELECT relkind FROM pg_class WHERE oid = to_regclass('audit_log')) = 'p', 'audit_log is not partitioned';
    ASSERT pg_get_partkeydef('audit_log'::regclass) = 'RANGE ("timestamp")', format('audit_log is partitioned by %s', pg_get_partkeydef('audit_log'::regclass));
    ASSERT (SELECT partdefid::regclass FROM pg_partitioned_table WHERE partrelid = 'audit_log'::regclass) IS NOT DISTINCT FROM to_regclass('audit_log_history'),
        'audit_log_history is not the default partition of audit_log';
END
$$;

-- step: columns and references are those that the application knows
-- Which default, whether NOT NULL, and what a foreign key does are this installation's own, and compared with the old table.
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH wanted (col, type, standard) AS (
        VALUES
            ('id',         'uuid',                     true),
            ('org_id',     'uuid',                     false),
            ('user_id',    'uuid',                     false),
            ('action',     'audit_action',             false),
            ('table_name', 'text',                     false),
            ('record_id',  'uuid',                     false),
            ('old_data',   'jsonb',                    false),
            ('new_data',   'jsonb',                    false),
            ('ip_address', 'inet',                     false),
            ('user_agent', 'text',                     false),
            ('timestamp',  'timestamp with time zone', true)
    ),
    found AS (
        SELECT attname::text AS col, format_type(atttypid, atttypmod) AS type, atthasdef
        FROM pg_attribute
        WHERE attrelid = 'audit_log'::regclass AND attnum > 0 AND NOT attisdropped
    )
    SELECT string_agg(col, ', ' ORDER BY col)
    INTO wrong
    FROM wanted
    WHERE NOT EXISTS (SELECT FROM found WHERE found.col = wanted.col AND found.type = wanted.type AND atthasdef >= standard);
    ASSERT wrong IS NULL, format('columns of audit_log missing or different: %s', wrong);

    SELECT string_agg(attname, ', ')
    INTO wrong
    FROM pg_attribute
    WHERE attrelid = 'audit_log'::regclass
      AND attname IN ('org_id', 'user_id')
      AND NOT EXISTS (
          SELECT FROM pg_constraint
          WHERE conrelid = attrelid AND contype = 'f' AND conkey = ARRAY[attnum] AND convalidated
      );
    ASSERT wrong IS NULL, format('audit_log has no foreign key on: %s', wrong);
END
$$;

-- step: columns are those of the old table, with their defaults, rights and comments
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH described AS (
        SELECT
            attrelid::regclass::text AS name,
            attname,
            (
                format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid), attidentity, attgenerated, attcollation,
                attacl, col_description(attrelid, attnum)
            )::text AS description
        FROM pg_attribute
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE attrelid IN ('audit_log'::regclass, 'audit_log_history'::regclass) AND attnum > 0 AND NOT attisdropped
    )
    SELECT string_agg(attname, ', ')
    INTO wrong
    FROM (SELECT * FROM described WHERE name = 'audit_log') AS now
    FULL JOIN (SELECT * FROM described WHERE name = 'audit_log_history') AS before USING (attname)
    WHERE now.description IS DISTINCT FROM before.description;
    ASSERT wrong IS NULL, format('columns of audit_log differ from before: %s', wrong);
END
$$;

-- step: rules and foreign keys are those of the old table
DO $$
DECLARE
    wrong  text;
BEGIN
    SELECT string_agg(conname, ', ')
    INTO wrong
    FROM (SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint WHERE conrelid = 'audit_log'::regclass AND contype IN ('c', 'f')) AS now
    FULL JOIN (
        SELECT conname, pg_get_constraintdef(oid) AS definition
        FROM pg_constraint
        WHERE conrelid = 'audit_log_history'::regclass AND contype IN ('c', 'f') AND conname <> 'audit_log_dated_before_its_partitions'
    ) AS before USING (conname)
    WHERE now.definition IS DISTINCT FROM before.definition;
    ASSERT wrong IS NULL, format('rules of audit_log differ from before: %s', wrong);

    ASSERT (
        SELECT count(*) FROM pg_constraint
        WHERE conrelid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'audit_log'::regclass) AND contype = 'f' AND conparentid = 0
    ) = 0, 'a partition of audit_log has a foreign key that audit_log does not have';
    ASSERT EXISTS (
        SELECT FROM pg_constraint
        WHERE conrelid = 'audit_log_history'::regclass AND conname = 'audit_log_dated_before_its_partitions' AND convalidated
    ), 'nothing proves what audit_log_history holds: every new quarter would read it';
END
$$;

-- step: policies, rights, owner and comment are those of the old table
DO $$
DECLARE
    wrong  text;
BEGIN
    SELECT string_agg(policyname, ', ')
    INTO wrong
    FROM (SELECT * FROM pg_policies WHERE schemaname = 'public' AND tablename = 'audit_log') AS now
    FULL JOIN (SELECT * FROM pg_policies WHERE schemaname = 'public' AND tablename = 'audit_log_history') AS before USING (policyname)
    WHERE (now.permissive, now.roles, now.cmd, now.qual, now.with_check) IS DISTINCT FROM (
        before.permissive, before.roles, before.cmd,
        replace(before.qual, 'audit_log_history.', 'audit_log.'), replace(before.with_check, 'audit_log_history.', 'audit_log.')
    );
    ASSERT wrong IS NULL, format('policies of audit_log differ from before: %s', wrong);

    SELECT string_agg(DISTINCT coalesce(now.grantee, before.grantee)::regrole::text, ', ')
    INTO wrong
    FROM (SELECT grantee, privilege_type, is_grantable FROM pg_class, aclexplode(relacl) WHERE oid = 'audit_log'::regclass) AS now
    FULL JOIN (
        SELECT grantee, privilege_type, is_grantable FROM pg_class, aclexplode(relacl) WHERE oid = 'audit_log_history'::regclass
    ) AS before USING (grantee, privilege_type, is_grantable)
    WHERE (now.grantee IS NULL OR before.grantee IS NULL)
      AND coalesce(now.grantee, before.grantee) <> (SELECT relowner FROM pg_class WHERE oid = 'audit_log'::regclass);
    ASSERT wrong IS NULL, format('rights on audit_log differ from before: %s', wrong);

    ASSERT (
        SELECT count(DISTINCT (relowner, relrowsecurity, relforcerowsecurity, obj_description(oid, 'pg_class')))
        FROM pg_class
        WHERE oid IN ('audit_log'::regclass, 'audit_log_history'::regclass)
    ) = 1, 'owner, row-level security or comment of audit_log differ from before';
END
$$;

-- step: every index of the old table spans the partitions
SELECT before.indexrelid::regclass AS without_its_like
FROM pg_index AS before
WHERE before.indrelid = to_regclass('audit_log_history')
  AND NOT before.indisunique
  AND NOT EXISTS (
      SELECT
      FROM pg_inherits
      JOIN pg_index AS now ON now.indexrelid = inhparent
      WHERE inhrelid = before.indexrelid AND now.indisvalid
  );

-- step: quarters follow one another, three months ahead at least
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH bound AS (
        SELECT name, part, low, high, lag(high) OVER (PARTITION BY name ORDER BY low) AS high_before
        FROM unnest(ARRAY['audit_log']) AS name, partition_bounds(name::regclass)
    )
    SELECT string_agg(flaw, '; ' ORDER BY flaw)
    INTO wrong
    FROM (
        SELECT format('%s: a gap before %s', name, part) AS flaw FROM bound WHERE high_before < low
        UNION ALL
        SELECT format('%s ends at %s', name, coalesce((max(high) FILTER (WHERE isfinite(high)))::text, 'no time')) FROM unnest(ARRAY['audit_log']) AS name LEFT JOIN bound USING (name)
        GROUP BY name
        HAVING coalesce(max(high) FILTER (WHERE isfinite(high)), '-infinity') < now() + interval '3 months'
    ) AS everything;
    ASSERT wrong IS NULL, format('quarters missing: %s', wrong);
END
$$;

-- step: what lies outside has a place
SELECT name AS table_name, 'no default partition' AS found
FROM unnest(ARRAY['audit_log']) AS name
WHERE NOT EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = to_regclass(name) AND partdefid <> 0);

-- step: partitions are guarded
SELECT relname AS partition, coalesce('open to ' || role, 'row-level security is off') AS found
FROM pg_class
JOIN pg_description ON objoid = pg_class.oid AND classoid = 'pg_class'::regclass AND objsubid = 0
LEFT JOIN unnest(ARRAY['anon', 'authenticated']) AS role
    ON has_table_privilege(role, pg_class.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
WHERE description LIKE 'Partition of %made by create\_partitions\_ahead().'
  AND relispartition
  AND (role IS NOT NULL OR NOT relrowsecurity);

-- step: partitions have every index of their table, valid, and a primary key
SELECT part AS partition, coalesce('no index of ' || parent_index.indexrelid::regclass, 'no primary key') AS found
FROM unnest(ARRAY['audit_log']) AS name
CROSS JOIN LATERAL (SELECT inhrelid::regclass AS part FROM pg_inherits WHERE inhparent = to_regclass(name)) AS parts
LEFT JOIN pg_index AS parent_index
    ON parent_index.indrelid = to_regclass(name)
   AND NOT EXISTS (
       SELECT
       FROM pg_index AS own
       JOIN pg_inherits ON inhrelid = own.indexrelid
       WHERE own.indrelid = part AND inhparent = parent_index.indexrelid AND own.indisvalid
   )
WHERE parent_index.indexrelid IS NOT NULL
   OR NOT EXISTS (SELECT FROM pg_index WHERE indrelid = part AND indisprimary AND indisvalid);

-- step: what is dated after the last quarter has a place
SELECT 'audit_log_later' AS partition, 'does not reach to infinity' AS found
WHERE NOT EXISTS (SELECT FROM partition_bounds(to_regclass('audit_log')) WHERE part = to_regclass('audit_log_later') AND high = 'infinity');

-- step: entries of every time are taken, and those of tomorrow by their quarter
DO $$
DECLARE
    attempt  record;
    place    regclass;
    low_of   timestamptz := (SELECT min(low) FROM partition_bounds('audit_log'));
BEGIN
    FOR attempt IN
        SELECT *
        FROM (VALUES
            (NULL::timestamptz, 'audit_log_history'),
            (now(), CASE WHEN now() < low_of THEN 'audit_log_history' ELSE to_char(now() AT TIME ZONE 'UTC', '"audit_log"_YYYY"_q"Q') END),
            ('1970-01-01', 'audit_log_history'),
            ('-infinity', 'audit_log_history'),
            ('infinity', 'audit_log_history'),
            (low_of, to_char(low_of AT TIME ZONE 'UTC', '"audit_log"_YYYY"_q"Q')),
            ('9999-12-31', 'audit_log_later')
        ) AS attempts (dated, expected)
    LOOP
        INSERT INTO audit_log (action, table_name, timestamp) VALUES ('API_CALL', 'validation', attempt.dated) RETURNING tableoid INTO place;
        ASSERT place IS NOT DISTINCT FROM to_regclass(attempt.expected),
            format('an entry dated %s went to %s, not to %s', coalesce(attempt.dated::text, 'NULL'), place, attempt.expected);
    END LOOP;

    INSERT INTO audit_log (action, table_name) VALUES ('API_CALL', 'validation');
    INSERT INTO audit_log (action, table_name) VALUES ('API_CALL', 'validation') ON CONFLICT DO NOTHING;
END
$$;
