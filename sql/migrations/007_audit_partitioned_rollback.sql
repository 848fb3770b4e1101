-- Migration 007: audit_log becomes a partitioned table
-- phase: 4
-- requires: 005
--
-- What it is: the way back to one table. audit_log_history takes its name back, with all rows that went there; rows that went
-- to a quarter since are brought back into it in batches, and are seen under audit_log all the time. No row is lost, doubled
-- or out of sight for a moment.
--
-- What it locks: the change of names takes SHARE ROW EXCLUSIVE on organization and on the platform's users, then ACCESS
-- EXCLUSIVE on audit_log, for some milliseconds, as on the way up. Quarters that hold rows become children of audit_log
-- (plain inheritance, so that reading it reads them); each batch moves some rows in a transaction of its own, while reading
-- and writing go on. At last what is empty is dropped, which takes ACCESS EXCLUSIVE on organization and on the users for
-- milliseconds each, to unhang foreign keys.
--
-- What an operator must know:
-- - it runs from every state of a migration that was cut off, also before the change of names; nothing is dropped with
--   CASCADE;
-- - before the cutoff of 007 there are no rows to bring back, unless somebody wrote entries dated ahead;
-- - a view made on audit_log since stops it, as on the way up: drop it, roll back, make it again.

-- step: audit_log and its twin change names back
-- lint: allow rename-table because both names change in this one transaction, and whoever waits looks the name up again
DO $$
DECLARE
    one       record;
    strays    text;
    has_rows  boolean;
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = to_regclass('audit_log')) = 'p' THEN
        SELECT string_agg(DISTINCT pg_describe_object(classid, objid, 0), ', ')
        INTO strays
        FROM pg_depend
        LEFT JOIN pg_policy ON classid = 'pg_policy'::regclass AND pg_policy.oid = objid
        LEFT JOIN pg_constraint ON classid = 'pg_constraint'::regclass AND pg_constraint.oid = objid
        WHERE deptype = 'n'
          AND refclassid = 'pg_class'::regclass
          AND refobjid = 'audit_log'::regclass
          AND coalesce(polrelid, conrelid, 0) <> 'audit_log'::regclass;
        IF strays IS NOT NULL THEN
            RAISE EXCEPTION 'audit_log cannot be one table again: %', strays
                USING ERRCODE = 'dependent_objects_still_exist',
                      HINT = 'Drop what is named, roll back, and make it again.';
        END IF;

        FOR one IN
            SELECT DISTINCT confrelid::regclass AS referenced
            FROM pg_constraint
            WHERE conrelid = 'audit_log'::regclass AND contype = 'f' AND has_table_privilege(confrelid, 'UPDATE')
        LOOP
            EXECUTE format('LOCK TABLE ONLY %s IN SHARE ROW EXCLUSIVE MODE', one.referenced);
        END LOOP;
        LOCK TABLE ONLY audit_log IN ACCESS EXCLUSIVE MODE;

        ALTER TABLE audit_log DETACH PARTITION audit_log_history;
        ALTER TABLE audit_log RENAME TO audit_log_partitioned;
        ALTER TABLE audit_log_history RENAME TO audit_log;
    END IF;

    ALTER TABLE audit_log DROP CONSTRAINT IF EXISTS audit_log_dated_before_its_partitions;
    -- A rollback seals what is to be dropped, and took audit_log_history for that.
    DROP TRIGGER IF EXISTS mantis_runbook_seal ON audit_log;

    IF to_regclass('audit_log_leftover') IS NULL THEN
        CREATE TABLE audit_log_leftover (LIKE audit_log INCLUDING CONSTRAINTS, PRIMARY KEY (id)) INHERITS (audit_log);
        REVOKE ALL ON audit_log_leftover FROM PUBLIC, anon, authenticated;
    ELSIF NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = 'audit_log_leftover'::regclass) THEN
        ALTER TABLE audit_log_leftover INHERIT audit_log;
    END IF;
    FOR one IN
        SELECT inhrelid::regclass AS part
        FROM pg_inherits
        WHERE inhparent = to_regclass('audit_log_partitioned')
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', one.part) INTO has_rows;
        IF has_rows THEN
            EXECUTE format('ALTER TABLE audit_log_partitioned DETACH PARTITION %s', one.part);
            EXECUTE format('ALTER TABLE %s INHERIT audit_log_leftover', one.part);
        END IF;
    END LOOP;
END
$$;

-- step: what was written to quarters comes back  batched over audit_log_leftover
WITH moved AS (
    DELETE FROM audit_log_leftover
    WHERE id > $1 AND id <= $2
    RETURNING *
)
INSERT INTO audit_log
SELECT * FROM moved;

-- step: what is left over is out of sight
-- From here on no reader of audit_log meets these tables, so that nobody holds up, or waits for, what follows.
DO $$
BEGIN
    IF EXISTS (SELECT FROM audit_log_leftover) THEN
        RAISE EXCEPTION 'audit_log_leftover still holds rows' USING HINT = 'Run the rollback again.';
    END IF;
    IF EXISTS (SELECT FROM pg_inherits WHERE inhrelid = 'audit_log_leftover'::regclass) THEN
        ALTER TABLE audit_log_leftover NO INHERIT audit_log;
    END IF;
END
$$;

-- step: what is left over no longer belongs to organisations
DO $$
DECLARE
    link  record;
BEGIN
    FOR link IN
        SELECT conrelid::regclass AS of_table, conname
        FROM pg_constraint
        WHERE contype = 'f'
          AND confrelid = 'organization'::regclass
          AND (
              conrelid = to_regclass('audit_log_partitioned')
              OR conrelid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass('audit_log_leftover'))
          )
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', link.of_table, link.conname);
    END LOOP;
END
$$;

-- step: what is left over no longer names users
DO $$
DECLARE
    link  record;
BEGIN
    FOR link IN
        SELECT conrelid::regclass AS of_table, conname
        FROM pg_constraint
        WHERE contype = 'f'
          AND (
              conrelid = to_regclass('audit_log_partitioned')
              OR conrelid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass('audit_log_leftover'))
          )
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', link.of_table, link.conname);
    END LOOP;
END
$$;

-- step: the twin, and what is left over
DO $$
DECLARE
    made  regclass;
BEGIN
    FOR made IN
        SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = to_regclass('audit_log_leftover')
    LOOP
        EXECUTE format('DROP TABLE %s', made);
    END LOOP;
END
$$;
DROP TABLE IF EXISTS audit_log_leftover;
DROP TABLE IF EXISTS audit_log_partitioned;
