-- Migration 009: Index optimisation
-- phase: 4
-- requires: 001
--
-- What it is: an index for each of the baseline's seven foreign keys that have none, so that deleting what they refer to does
-- not read the whole table, and holds its locks no longer than it must.
--
-- What it locks: SHARE UPDATE EXCLUSIVE on one table at a time, for as long as its index is built: reading and writing go on.
-- Each build waits for transactions that are older than it, anywhere in this database.
--
-- What an operator must know:
-- - an installation that has such an index under another name would have it twice: the check foreign_keys_indexed_already
--   names it before; an index of the very name is the check leftover_indexes' to name;
-- - redundant and unused indexes are reported, not dropped (reports redundant_indexes, unused_indexes): what a
--   database does without is for who knows its whole week to say, and one drop is one DROP INDEX CONCURRENTLY.

-- step: who created a data set
CREATE INDEX CONCURRENTLY ai_dataset_created_by_idx ON ai_dataset (created_by);

-- step: who created a rule
CREATE INDEX CONCURRENTLY alert_rule_created_by_idx ON alert_rule (created_by);

-- step: who shared a dashboard
CREATE INDEX CONCURRENTLY dashboard_share_shared_by_idx ON dashboard_share (shared_by);

-- step: imports of a connector
CREATE INDEX CONCURRENTLY data_import_connector_id_idx ON data_import (connector_id);

-- step: entries of an import
CREATE INDEX CONCURRENTLY integration_log_import_id_idx ON integration_log (import_id);

-- step: who approved a purchase order
CREATE INDEX CONCURRENTLY purchase_order_approved_by_idx ON purchase_order (approved_by);

-- step: who wrote a comment
CREATE INDEX CONCURRENTLY ticket_comment_user_id_idx ON ticket_comment (user_id);
