-- Migration 006: Partitions ahead of time
-- phase: 4
-- requires: 005
--
-- What it is: for ai_message, customer_interaction, pipeline_execution and system_metric the present quarter and those of
-- the half year after it, and a default partition for what lies outside. Until now a row dated today was refused.
--
-- What it locks: the partitions are made as tables of their own (ACCESS SHARE on the table they belong to), which takes
-- the time, and are then attached in one go: SHARE UPDATE EXCLUSIVE on the partitioned table, so that reading and writing
-- it go on, and SHARE ROW EXCLUSIVE on the tables it refers to (organization, customer, the platform's users ...), where a write
-- waits for some milliseconds. PostgreSQL takes these for the foreign keys of each partition; there is no way to attach
-- without them. No row is scanned: what is attached is empty, and needs no CHECK to prove it. The default partition comes
-- last, for each ATTACH after it would look into it. CREATE TABLE ... PARTITION OF, the short way, would take ACCESS
-- EXCLUSIVE on the partitioned table.
--
-- What an operator must know:
-- - a table, or a partition of other bounds, that has the name or the place of one of these stops the migration; the check
--   partitions_in_the_way names it before;
-- - quarters begin and end in UTC, as the existing ones do;
-- - quarters between the last one of the baseline (2025 Q3) and the present one get no partition: no row could go there, and
--   a statement that gives no date is planned over every partition there is. What is dated there later on (an import, say)
--   goes to the default partition and stays there;
-- - SELECT create_partitions_ahead('ai_message') makes what is missing later on, also the quarters that were missed; rows that
--   went to the default partition in the meantime move to their quarter;
-- - rolling back drops these partitions with the rows in them, for the baseline has no place for those: salvage them first.

-- step: quarters of messages
SELECT create_partitions_ahead('ai_message', beginning => now());

-- step: what is left of messages
SELECT create_default_partition('ai_message');

-- step: quarters of interactions
SELECT create_partitions_ahead('customer_interaction', beginning => now());

-- step: what is left of interactions
SELECT create_default_partition('customer_interaction');

-- step: quarters of executions
SELECT create_partitions_ahead('pipeline_execution', beginning => now());

-- step: what is left of executions
SELECT create_default_partition('pipeline_execution');

-- step: quarters of metrics
SELECT create_partitions_ahead('system_metric', beginning => now());

-- step: what is left of metrics
SELECT create_default_partition('system_metric');
