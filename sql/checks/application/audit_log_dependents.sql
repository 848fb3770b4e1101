-- check: audit_log_dependents
-- title: What would stay with the old audit_log when it becomes a partitioned table
-- severity: fail
-- phases: 0,4
-- expected: no view, function, trigger, rule, publication, foreign key, heir or generated column of somebody's on audit_log, and no rule of its own that partitions cannot keep
-- action: a view: keep its text (pg_get_viewdef), DROP VIEW, run phase 4, CREATE VIEW again; a publication: take the table out, run phase 4, put audit_log in again (publish_via_partition_root); a trigger, rule or foreign key: drop it, run phase 4, make it again where partitioned tables allow it; a constraint that is not validated: VALIDATE it; a generated column: ALTER TABLE audit_log ALTER COLUMN … DROP EXPRESSION, and let a view or a trigger tell it; a unique index without timestamp cannot be kept
-- reads: catalogues
WITH audit AS (
    SELECT pg_class.oid, reltype, typarray
    FROM pg_class
    JOIN pg_type ON pg_type.oid = reltype
    WHERE relname = 'audit_log' AND relnamespace = 'public'::regnamespace AND relkind = 'r'
),
flaw (object, detail) AS (
    SELECT DISTINCT
        CASE
            WHEN classid = 'pg_rewrite'::regclass THEN 'view ' || ev_class::regclass
            WHEN adrelid = audit.oid
            THEN format('generated column %I', (SELECT attname FROM pg_attribute WHERE attrelid = adrelid AND attnum = adnum))
            ELSE pg_describe_object(classid, objid, 0)
        END,
        CASE WHEN adrelid = audit.oid THEN 'a rollback moves rows from partition to table as they are' ELSE 'bound to the table itself, not to its name' END
    FROM audit
    JOIN pg_depend
        ON deptype = 'n'
       AND (
           (refclassid = 'pg_class'::regclass AND refobjid = audit.oid)
           OR (refclassid = 'pg_type'::regclass AND refobjid IN (reltype, typarray))
       )
    LEFT JOIN pg_policy ON classid = 'pg_policy'::regclass AND pg_policy.oid = objid
    LEFT JOIN pg_constraint ON classid = 'pg_constraint'::regclass AND pg_constraint.oid = objid
    LEFT JOIN pg_rewrite ON classid = 'pg_rewrite'::regclass AND pg_rewrite.oid = objid
    LEFT JOIN pg_attrdef ON classid = 'pg_attrdef'::regclass AND pg_attrdef.oid = objid
    WHERE coalesce(polrelid, conrelid, ev_class, 0) <> audit.oid
      AND NOT EXISTS (SELECT FROM pg_inherits WHERE classid = 'pg_class'::regclass AND inhrelid = objid AND inhparent = audit.oid)

    UNION ALL
    SELECT format('trigger %I', tgname), 'on the table itself; it would fire for the old partition alone'
    FROM audit
    JOIN pg_trigger ON tgrelid = audit.oid AND NOT tgisinternal

    UNION ALL
    SELECT format('rule %I', rulename), 'on the table itself'
    FROM audit
    JOIN pg_rewrite ON ev_class = audit.oid

    UNION ALL
    SELECT format('publication %I', pubname), 'names the table itself; new quarters would not be published'
    FROM audit
    JOIN pg_publication_rel ON prrelid = audit.oid
    JOIN pg_publication ON pg_publication.oid = prpubid

    UNION ALL
    SELECT format('inheritance of %s', inhrelid::regclass), 'a partition cannot have, nor be, an heir'
    FROM audit
    JOIN pg_inherits ON audit.oid IN (inhrelid, inhparent)

    UNION ALL
    SELECT format('index %s', indexrelid::regclass), 'unique, and cannot span partitions'
    FROM audit
    JOIN pg_index ON indrelid = audit.oid AND indisunique AND NOT indisprimary

    UNION ALL
    SELECT format('constraint %I', conname), 'not validated: attaching the table would read all of it under lock'
    FROM audit
    JOIN pg_constraint ON conrelid = audit.oid AND NOT convalidated
    WHERE conname <> 'audit_log_dated_before_its_partitions'
)
SELECT object, 1::bigint AS found, detail
FROM flaw
ORDER BY 1
