-- Migration 005: Communication
-- phase: 4
-- requires: 001, 002
--
-- What it is: the way back. The three tables, the partitions of communication_log, and the functions that make partitions
-- go, with all rows: salvage them first. Partitions of other tables are 006's and 007's, which go before this.
--
-- What it locks: the application is shut out of the new tables first, so that nobody holds them up. Then one step each takes
-- ACCESS EXCLUSIVE on profile and on organization, for the moment it takes to unhang foreign keys. Dropping the tables
-- then touches new tables alone.
--
-- What an operator must know: it runs from every state of a migration that was cut off; nothing is dropped with CASCADE, so
-- that a later table or somebody's view that refers to one of these makes it stop and say so.

-- step: close communication to the application
DO $$
DECLARE
    made  regclass;
BEGIN
    FOR made IN
        SELECT to_regclass(name)
        FROM unnest(ARRAY['communication_template', 'communication_campaign', 'communication_log']) AS name
        WHERE to_regclass(name) IS NOT NULL
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM authenticated, service_role', made);
    END LOOP;
END
$$;

-- step: templates and campaigns no longer name users
ALTER TABLE IF EXISTS communication_campaign DROP CONSTRAINT IF EXISTS communication_campaign_created_by_fkey;
ALTER TABLE IF EXISTS communication_template DROP CONSTRAINT IF EXISTS communication_template_created_by_fkey;

-- step: communication no longer belongs to organisations
ALTER TABLE IF EXISTS communication_log DROP CONSTRAINT IF EXISTS communication_log_org_id_fkey;
ALTER TABLE IF EXISTS communication_campaign DROP CONSTRAINT IF EXISTS communication_campaign_org_id_fkey;
ALTER TABLE IF EXISTS communication_template DROP CONSTRAINT IF EXISTS communication_template_org_id_fkey;

-- step: what was sent
DROP TABLE IF EXISTS communication_log;

-- step: campaigns
DROP TABLE IF EXISTS communication_campaign;

-- step: templates
DROP TABLE IF EXISTS communication_template;

-- step: functions that make partitions
DROP FUNCTION IF EXISTS create_default_partition(regclass);
DROP FUNCTION IF EXISTS create_partitions_ahead(regclass, timestamptz, timestamptz, text);
DROP FUNCTION IF EXISTS prepare_partition(regclass, text, text);
DROP FUNCTION IF EXISTS partition_bounds(regclass);
