-- Migration 009: Index optimisation
-- phase: 4
-- requires: 001
--
-- What it is: an index for each of the baseline's foreign keys that have none, so that deleting what they refer to does not
-- read the whole table, and holds its locks no longer than it must. Where an index begins with the column already, under
-- whatever name, it serves, and none is built.
--
-- What it locks: SHARE UPDATE EXCLUSIVE on one table at a time, for as long as its index is built: reading and writing go on.
-- Each build waits for transactions that are older than it, anywhere in this database.
--
-- What an operator must know:
-- - an index of the very name is the check leftover_indexes' to name;
-- - redundant and unused indexes are reported, not dropped (reports redundant_indexes, unused_indexes): what a
--   database does without is for who knows its whole week to say, and one drop is one DROP INDEX CONCURRENTLY.

-- step: who created a data set  unless indexed
CREATE INDEX CONCURRENTLY ai_dataset_created_by_idx ON ai_dataset (created_by);

-- step: who created a rule  unless indexed
CREATE INDEX CONCURRENTLY alert_rule_created_by_idx ON alert_rule (created_by);

-- step: who shared a dashboard  unless indexed
CREATE INDEX CONCURRENTLY dashboard_share_shared_by_idx ON dashboard_share (shared_by);

-- step: imports of a connector  unless indexed
CREATE INDEX CONCURRENTLY data_import_connector_id_idx ON data_import (connector_id);

-- step: entries of an import  unless indexed
CREATE INDEX CONCURRENTLY integration_log_import_id_idx ON integration_log (import_id);

-- step: who approved a purchase order  unless indexed
CREATE INDEX CONCURRENTLY purchase_order_approved_by_idx ON purchase_order (approved_by);

-- step: who wrote a comment  unless indexed
CREATE INDEX CONCURRENTLY ticket_comment_user_id_idx ON ticket_comment (user_id);
