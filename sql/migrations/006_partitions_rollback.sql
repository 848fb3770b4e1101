-- Migration 006: Partitions ahead of time
-- phase: 4
-- requires: 005
--
-- What it is: the way back. The partitions that create_partitions_ahead() and create_default_partition() made for the four
-- tables, known by their comment, are dropped with all rows: salvage them first. From then on a row dated today is refused
-- again, as in the baseline.
--
-- What it locks: one step a table takes ACCESS EXCLUSIVE on it and drops what it finds: files are unlinked, no row is read.
--
-- What an operator must know:
-- - it runs from every state of a migration that was cut off; partitions that were there before, or were made by hand, stay;
-- - totals that triggers keep (total_messages, execution_count ...) go on counting the rows that were dropped: old columns are
--   left as they are;
-- - nothing is dropped with CASCADE.

-- step: partitions of messages
DO $$
DECLARE
    made  regclass;
BEGIN
    FOR made IN
        SELECT objoid::regclass
        FROM pg_description
        WHERE classoid = 'pg_class'::regclass
          AND objsubid = 0
          AND description LIKE 'Partition of ai_message for %, made by create\_partitions\_ahead().'
    LOOP
        EXECUTE format('DROP TABLE %s', made);
    END LOOP;
END
$$;

-- step: partitions of interactions
DO $$
DECLARE
    made  regclass;
BEGIN
    FOR made IN
        SELECT objoid::regclass
        FROM pg_description
        WHERE classoid = 'pg_class'::regclass
          AND objsubid = 0
          AND description LIKE 'Partition of customer_interaction for %, made by create\_partitions\_ahead().'
    LOOP
        EXECUTE format('DROP TABLE %s', made);
    END LOOP;
END
$$;

-- step: partitions of executions
DO $$
DECLARE
    made  regclass;
BEGIN
    FOR made IN
        SELECT objoid::regclass
        FROM pg_description
        WHERE classoid = 'pg_class'::regclass
          AND objsubid = 0
          AND description LIKE 'Partition of pipeline_execution for %, made by create\_partitions\_ahead().'
    LOOP
        EXECUTE format('DROP TABLE %s', made);
    END LOOP;
END
$$;

-- step: partitions of metrics
DO $$
DECLARE
    made  regclass;
BEGIN
    FOR made IN
        SELECT objoid::regclass
        FROM pg_description
        WHERE classoid = 'pg_class'::regclass
          AND objsubid = 0
          AND description LIKE 'Partition of system_metric for %, made by create\_partitions\_ahead().'
    LOOP
        EXECUTE format('DROP TABLE %s', made);
    END LOOP;
END
$$;
