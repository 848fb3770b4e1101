-- pgbench scenario: a user of some organisation orders from a supplier.
-- Statements of the application before phase 1, on baseline tables alone: they must run unchanged before, during and after
-- every phase. What it inserts it deletes again; the rows of others it writes with the values they have.
-- Ids are carried from statement to statement in settings named load.*: \gset's variables would need quotes in -M simple and
-- must not have any in -M prepared.

\set dice random(0, 4294967295)
SELECT set_config('load.user_id', coalesce(
    (
        SELECT id
        FROM profile
        WHERE id >= (lpad(to_hex(:dice::bigint), 8, '0') || '-0000-0000-0000-000000000000')::uuid
        ORDER BY id
        LIMIT 1
    ),
    (SELECT id FROM profile ORDER BY id LIMIT 1),
    '00000000-0000-0000-0000-000000000000'
)::text, false);
SELECT set_config('load.org_id', coalesce(
    (SELECT org_id FROM profile WHERE id = current_setting('load.user_id')::uuid),
    '00000000-0000-0000-0000-000000000000'
)::text, false);

-- A supplier of the organisation, and an order for three of its items
BEGIN;
SET LOCAL ROLE authenticated;
SELECT set_config('request.jwt.claim.sub', current_setting('load.user_id'), true),
       set_config('app.current_user_id', current_setting('load.user_id'), true);
SELECT set_config('load.supplier_id', coalesce(
    (SELECT id FROM supplier WHERE org_id = current_setting('load.org_id')::uuid ORDER BY name OFFSET :dice::bigint % 5 LIMIT 1),
    '00000000-0000-0000-0000-000000000000'
)::text, false);
WITH created AS (
    INSERT INTO purchase_order (org_id, supplier_id, po_number, tax_amount, shipping_amount, expected_delivery_date, created_by, notes)
    SELECT org_id, id, 'LOAD-' || gen_random_uuid(), 19, 4.90, CURRENT_DATE + 14, current_setting('load.user_id')::uuid, 'Load'
    FROM supplier
    WHERE id = current_setting('load.supplier_id')::uuid
    RETURNING id
)
SELECT set_config('load.order_id', coalesce(
    (SELECT id FROM created),
    '00000000-0000-0000-0000-000000000000'
)::text, false);
INSERT INTO purchase_order_item (purchase_order_id, inventory_item_id, quantity, unit_price)
SELECT purchase_order.id, item.id, 1 + :dice::bigint % 20, coalesce(item.unit_price, 1)
FROM purchase_order
CROSS JOIN LATERAL (
    SELECT id, unit_price FROM inventory_item WHERE inventory_item.org_id = purchase_order.org_id ORDER BY sku LIMIT 3
) AS item
WHERE purchase_order.id = current_setting('load.order_id')::uuid;
COMMIT;

-- Approved and sent
BEGIN;
SET LOCAL ROLE authenticated;
SELECT set_config('request.jwt.claim.sub', current_setting('load.user_id'), true),
       set_config('app.current_user_id', current_setting('load.user_id'), true);
SELECT id, po_number, status, total_amount, tax_amount, shipping_amount
FROM purchase_order
WHERE id = current_setting('load.order_id')::uuid;
UPDATE purchase_order SET status = 'approved', approved_by = current_setting('load.user_id')::uuid, approved_at = now()
WHERE id = current_setting('load.order_id')::uuid;
UPDATE purchase_order SET status = 'sent' WHERE id = current_setting('load.order_id')::uuid;
COMMIT;

-- Received: the lines, and the stock they lie in
BEGIN;
SET LOCAL ROLE authenticated;
SELECT set_config('request.jwt.claim.sub', current_setting('load.user_id'), true),
       set_config('app.current_user_id', current_setting('load.user_id'), true);
UPDATE purchase_order_item SET quantity_received = quantity
WHERE purchase_order_id = current_setting('load.order_id')::uuid;
UPDATE inventory_item
SET quantity_on_hand = quantity_on_hand
WHERE id = (
    SELECT inventory_item_id
    FROM purchase_order_item
    WHERE purchase_order_id = current_setting('load.order_id')::uuid
    ORDER BY inventory_item_id
    LIMIT 1
);
UPDATE purchase_order SET status = 'completed', actual_delivery_date = CURRENT_DATE
WHERE id = current_setting('load.order_id')::uuid;
SELECT po.po_number, po.total_amount, item.quantity, item.unit_price, item.total_price
FROM purchase_order AS po
JOIN purchase_order_item AS item ON item.purchase_order_id = po.id
WHERE po.id = current_setting('load.order_id')::uuid;
COMMIT;

-- The list of orders, then the order goes with its lines
BEGIN;
SET LOCAL ROLE authenticated;
SELECT set_config('request.jwt.claim.sub', current_setting('load.user_id'), true),
       set_config('app.current_user_id', current_setting('load.user_id'), true);
SELECT id, po_number, status, total_amount, order_date
FROM purchase_order
WHERE org_id = current_setting('load.org_id')::uuid
ORDER BY order_date DESC
LIMIT 20;
SELECT * FROM v_inventory_alerts WHERE org_id = current_setting('load.org_id')::uuid ORDER BY sku LIMIT 20;
DELETE FROM purchase_order WHERE id = current_setting('load.order_id')::uuid;
COMMIT;
