-- variant: publication_some_tables
-- kind: a publication of some tables, with columns and a row filter, audit_log not among them
-- expect: passes

CREATE PUBLICATION sales FOR TABLE customer, purchase_order, customer_interaction WITH (publish_via_partition_root = true);
CREATE PUBLICATION catalogue FOR TABLE inventory_item (id, org_id, sku, name) WHERE (is_active);
ALTER TABLE inventory_item REPLICA IDENTITY FULL;
COMMENT ON PUBLICATION sales IS 'to the warehouse';
