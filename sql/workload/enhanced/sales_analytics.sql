-- pgbench scenario for after phase 2: figures of CRM and sales; it writes nothing.
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

BEGIN;
SET LOCAL ROLE authenticated;
SELECT set_config('request.jwt.claim.sub', current_setting('load.user_id'), true),
       set_config('app.current_user_id', current_setting('load.user_id'), true);
SELECT stage, count(*), sum(amount)
FROM opportunity
WHERE org_id = current_setting('load.org_id')::uuid
GROUP BY stage, currency;
SELECT status, count(*), avg(score) FROM lead WHERE org_id = current_setting('load.org_id')::uuid GROUP BY status;
SELECT id, subject, due_date
FROM crm_activity
WHERE org_id = current_setting('load.org_id')::uuid AND is_completed IS NOT TRUE
ORDER BY due_date
LIMIT 20;
COMMIT;

BEGIN;
SET LOCAL ROLE authenticated;
SELECT set_config('request.jwt.claim.sub', current_setting('load.user_id'), true),
       set_config('app.current_user_id', current_setting('load.user_id'), true);
SELECT date_trunc('month', order_date) AS month, currency, count(*), sum(total_amount)
FROM sales_order
WHERE org_id = current_setting('load.org_id')::uuid AND status NOT IN ('draft', 'cancelled', 'returned')
GROUP BY 1, 2
ORDER BY 1 DESC;
SELECT customer.name, sum(sales_order.total_amount) AS ordered
FROM sales_order
JOIN customer ON customer.id = sales_order.customer_id
WHERE sales_order.org_id = current_setting('load.org_id')::uuid
GROUP BY customer.id
ORDER BY ordered DESC
LIMIT 10;
SELECT product.sku, sum(item.quantity), sum(item.line_total)
FROM sales_order_item AS item
JOIN sales_order ON sales_order.id = item.order_id
JOIN product ON product.id = item.product_id
WHERE sales_order.org_id = current_setting('load.org_id')::uuid
GROUP BY product.id
ORDER BY 3 DESC
LIMIT 10;
SELECT status, count(*), sum(approved_quantity), sum(rejected_quantity)
FROM quality_control
WHERE org_id = current_setting('load.org_id')::uuid
GROUP BY status;
COMMIT;
