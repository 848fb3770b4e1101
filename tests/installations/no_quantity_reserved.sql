-- variant: no_quantity_reserved
-- kind: a column of the application is missing, with the view and the function that would read it
-- expect: passes

DROP VIEW v_inventory_alerts;
DROP FUNCTION get_reorder_suggestions(uuid);
ALTER TABLE inventory_item DROP COLUMN quantity_reserved;

CREATE VIEW v_inventory_alerts WITH (security_invoker = true) AS
SELECT id, org_id, sku, name, quantity_on_hand, reorder_point
FROM inventory_item
WHERE quantity_on_hand <= reorder_point;

GRANT SELECT ON v_inventory_alerts TO authenticated, service_role;
