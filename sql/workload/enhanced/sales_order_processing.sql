-- pgbench scenario for after phase 2: an order is written, changed, shipped and inspected.
-- What it inserts it deletes again, but for one product and one customer an organisation, and the numbers it draws.
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

-- A customer, a product and an order
BEGIN;
SET LOCAL ROLE authenticated;
SELECT set_config('request.jwt.claim.sub', current_setting('load.user_id'), true),
       set_config('app.current_user_id', current_setting('load.user_id'), true);
INSERT INTO product (org_id, name, sku, base_price)
SELECT org_id, 'Load', 'LOAD-1', 9.99 FROM profile WHERE id = current_setting('load.user_id')::uuid
ON CONFLICT (org_id, sku) DO NOTHING;
WITH created AS (
    INSERT INTO sales_order (org_id, customer_id, currency, shipping_amount, payment_terms, created_by)
    SELECT org_id, id, 'EUR', 4.90, 'net 30', current_setting('load.user_id')::uuid
    FROM customer
    WHERE org_id = current_setting('load.org_id')::uuid
    ORDER BY created_at, id
    LIMIT 1
    RETURNING id
)
SELECT set_config('load.order_id', coalesce(
    (SELECT id FROM created),
    '00000000-0000-0000-0000-000000000000'
)::text, false);
INSERT INTO sales_order_item (order_id, product_id, quantity, unit_price, tax_rate)
SELECT sales_order.id, product.id, line, product.base_price, 19
FROM sales_order
JOIN product ON product.org_id = sales_order.org_id AND product.sku = 'LOAD-1'
CROSS JOIN generate_series(1, 4) AS line
WHERE sales_order.id = current_setting('load.order_id')::uuid;
COMMIT;

-- Changed and confirmed
BEGIN;
SET LOCAL ROLE authenticated;
SELECT set_config('request.jwt.claim.sub', current_setting('load.user_id'), true),
       set_config('app.current_user_id', current_setting('load.user_id'), true);
UPDATE sales_order_item SET quantity = quantity + 1, discount_percentage = 10
WHERE order_id = current_setting('load.order_id')::uuid AND quantity > 2;
DELETE FROM sales_order_item WHERE order_id = current_setting('load.order_id')::uuid AND quantity = 1;
UPDATE sales_order SET status = 'confirmed', approved_by = current_setting('load.user_id')::uuid, approved_at = now()
WHERE id = current_setting('load.order_id')::uuid;
SELECT subtotal, tax_amount, shipping_amount, discount_amount, total_amount
FROM sales_order
WHERE id = current_setting('load.order_id')::uuid;
COMMIT;

-- Shipped; something was inspected meanwhile
BEGIN;
SET LOCAL ROLE authenticated;
SELECT set_config('request.jwt.claim.sub', current_setting('load.user_id'), true),
       set_config('app.current_user_id', current_setting('load.user_id'), true);
UPDATE sales_order_item SET quantity_shipped = quantity WHERE order_id = current_setting('load.order_id')::uuid;
UPDATE sales_order SET status = 'shipped' WHERE id = current_setting('load.order_id')::uuid;
WITH created AS (
    INSERT INTO quality_control (org_id, inventory_item_id, inspector_id, status, approved_quantity)
    SELECT org_id, id, current_setting('load.user_id')::uuid, 'passed', 10 FROM inventory_item
WHERE org_id = current_setting('load.org_id')::uuid ORDER BY sku LIMIT 1
    RETURNING id
)
SELECT set_config('load.inspection_id', coalesce(
    (SELECT id FROM created),
    '00000000-0000-0000-0000-000000000000'
)::text, false);
COMMIT;

-- The list of orders, then all of it goes
BEGIN;
SET LOCAL ROLE authenticated;
SELECT set_config('request.jwt.claim.sub', current_setting('load.user_id'), true),
       set_config('app.current_user_id', current_setting('load.user_id'), true);
SELECT id, order_number, status, total_amount, order_date
FROM sales_order
WHERE org_id = current_setting('load.org_id')::uuid
ORDER BY order_date DESC
LIMIT 20;
DELETE FROM quality_control WHERE id = current_setting('load.inspection_id')::uuid;
DELETE FROM sales_order WHERE id = current_setting('load.order_id')::uuid;
COMMIT;
