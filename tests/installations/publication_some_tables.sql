-- variant: publication_some_tables
-- kind: a publication of some tables, with columns and a row filter, audit_log not among them
-- expect: passes

CREATE PUBLICATION sales FOR TABLE customer, purchase_order, customer_interaction WITH (publish_via_partition_root = true);
UPDATE inventory_item SET is_active = true WHERE is_active IS NULL;
ALTER TABLE inventory_item ALTER COLUMN is_active SET NOT NULL;
CREATE UNIQUE INDEX inventory_item_replicated ON inventory_item (id, is_active);
ALTER TABLE inventory_item REPLICA IDENTITY USING INDEX inventory_item_replicated;
CREATE PUBLICATION catalogue FOR TABLE inventory_item (id, org_id, sku, name, is_active) WHERE (is_active);
COMMENT ON PUBLICATION sales IS 'to the warehouse';
