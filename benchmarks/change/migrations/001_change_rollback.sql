-- The benchmark throws its database away; a migration has a rollback all the same.
-- step: events of 2026
ALTER TABLE event DETACH PARTITION event_2026 CONCURRENTLY;
-- step: check of its events
ALTER TABLE event_2026 DROP CONSTRAINT event_2026_is_of_2026;
-- step: index
DROP INDEX CONCURRENTLY IF EXISTS purchase_account_id_idx;
-- step: foreign key
ALTER TABLE purchase DROP CONSTRAINT IF EXISTS purchase_account;
-- step: column
ALTER TABLE account DROP COLUMN IF EXISTS currency;
