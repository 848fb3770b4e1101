-- variant: indexes_on_partitions
-- kind: indexes, settings and rights on each partition, and none on the partitioned tables
-- expect: passes

DROP INDEX customer_interaction_org_id_timestamp_idx, customer_interaction_org_id_type_idx,
    ai_message_role_timestamp_idx, pipeline_execution_started_at_idx, system_metric_tags_idx;

DO $$
DECLARE
    leaf  record;
BEGIN
    FOR leaf IN
        SELECT relname AS name, relname ~ '^(customer_interaction|system_metric)' AS has_org
        FROM pg_class
        WHERE relispartition AND relkind = 'r' AND relnamespace = 'public'::regnamespace
    LOOP
        IF leaf.has_org THEN
            EXECUTE format('CREATE INDEX %I ON %I (org_id, timestamp DESC)', 'idx_' || leaf.name || '_org', leaf.name);
        END IF;
        EXECUTE format('ALTER TABLE %I SET (autovacuum_vacuum_scale_factor = 0.05, fillfactor = 90)', leaf.name);
        EXECUTE format('GRANT SELECT ON %I TO service_role', leaf.name);
    END LOOP;
END
$$;
