-- Migration 009: Index optimisation
-- phase: 4
-- requires: 001
--
-- What it is: the way back: the seven indexes go, valid or not.
--
-- What it locks: SHARE UPDATE EXCLUSIVE on one table at a time; reading and writing go on. Each drop waits for transactions
-- that may still use the index.
--
-- What an operator must know: it runs from every state of a migration that was cut off.

-- step: who wrote a comment
DROP INDEX CONCURRENTLY IF EXISTS ticket_comment_user_id_idx;

-- step: who approved a purchase order
DROP INDEX CONCURRENTLY IF EXISTS purchase_order_approved_by_idx;

-- step: entries of an import
DROP INDEX CONCURRENTLY IF EXISTS integration_log_import_id_idx;

-- step: imports of a connector
DROP INDEX CONCURRENTLY IF EXISTS data_import_connector_id_idx;

-- step: who shared a dashboard
DROP INDEX CONCURRENTLY IF EXISTS dashboard_share_shared_by_idx;

-- step: who created a rule
DROP INDEX CONCURRENTLY IF EXISTS alert_rule_created_by_idx;

-- step: who created a data set
DROP INDEX CONCURRENTLY IF EXISTS ai_dataset_created_by_idx;
