-- pgbench scenario for after phase 2: a lead becomes a customer, a quote and an order.
-- What it inserts it deletes again, but for one product an organisation, and the numbers it draws.
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

-- A lead, worked on
BEGIN;
SET LOCAL ROLE authenticated;
SELECT set_config('request.jwt.claim.sub', current_setting('load.user_id'), true),
       set_config('app.current_user_id', current_setting('load.user_id'), true);
WITH created AS (
    INSERT INTO lead (org_id, first_name, last_name, company, email, source, estimated_value, assigned_to)
    SELECT org_id, 'Load', 'Lead ' || :dice, 'Load & Soehne', 'load.' || :dice || '@example.com', 'load', 1000, id
    FROM profile
    WHERE id = current_setting('load.user_id')::uuid
    RETURNING id
)
SELECT set_config('load.lead_id', coalesce(
    (SELECT id FROM created),
    '00000000-0000-0000-0000-000000000000'
)::text, false);
INSERT INTO crm_activity (org_id, type, subject, lead_id, created_by, due_date)
SELECT org_id, 'call', 'Load', id, current_setting('load.user_id')::uuid, now() + interval '1 day'
FROM lead
WHERE id = current_setting('load.lead_id')::uuid;
UPDATE lead SET status = 'qualified', score = 70 WHERE id = current_setting('load.lead_id')::uuid;
COMMIT;

-- Converted, and quoted
BEGIN;
SET LOCAL ROLE authenticated;
SELECT set_config('request.jwt.claim.sub', current_setting('load.user_id'), true),
       set_config('app.current_user_id', current_setting('load.user_id'), true);
WITH converted AS MATERIALIZED (
    SELECT made.customer_id, made.opportunity_id
    FROM lead, convert_lead(lead.id, opportunity_name => 'Load', opportunity_currency => 'EUR') AS made
    WHERE lead.id = current_setting('load.lead_id')::uuid
)
SELECT set_config('load.customer_id', coalesce((SELECT customer_id
FROM converted), '00000000-0000-0000-0000-000000000000')::text, false),
       set_config('load.opportunity_id', coalesce((SELECT opportunity_id
FROM converted), '00000000-0000-0000-0000-000000000000')::text, false);
INSERT INTO product (org_id, name, sku, base_price)
SELECT org_id, 'Load', 'LOAD-1', 9.99 FROM customer WHERE id = current_setting('load.customer_id')::uuid
ON CONFLICT (org_id, sku) DO NOTHING;
WITH created AS (
    INSERT INTO sales_quote (org_id, customer_id, opportunity_id, title, currency, shipping_amount, created_by)
    SELECT org_id, id, current_setting('load.opportunity_id')::uuid, 'Load', 'EUR', 4.90, current_setting('load.user_id')::uuid
    FROM customer
    WHERE id = current_setting('load.customer_id')::uuid
    RETURNING id
)
SELECT set_config('load.quote_id', coalesce(
    (SELECT id FROM created),
    '00000000-0000-0000-0000-000000000000'
)::text, false);
INSERT INTO sales_quote_item (quote_id, product_id, quantity, unit_price, discount_percentage, tax_rate)
SELECT sales_quote.id, product.id, line, product.base_price, 5, 19
FROM sales_quote
JOIN product ON product.org_id = sales_quote.org_id AND product.sku = 'LOAD-1'
CROSS JOIN generate_series(1, 3) AS line
WHERE sales_quote.id = current_setting('load.quote_id')::uuid;
COMMIT;

-- Ordered
BEGIN;
SET LOCAL ROLE authenticated;
SELECT set_config('request.jwt.claim.sub', current_setting('load.user_id'), true),
       set_config('app.current_user_id', current_setting('load.user_id'), true);
SELECT accept_quote(id) FROM sales_quote WHERE id = current_setting('load.quote_id')::uuid;
SELECT set_config('load.order_id', coalesce(
    (SELECT convert_quote_to_order(id) FROM sales_quote WHERE id = current_setting('load.quote_id')::uuid),
    '00000000-0000-0000-0000-000000000000'
)::text, false);
SELECT order_number, subtotal, tax_amount, total_amount, currency
FROM sales_order
WHERE id = current_setting('load.order_id')::uuid;
COMMIT;

-- Taken away again
BEGIN;
SET LOCAL ROLE authenticated;
SELECT set_config('request.jwt.claim.sub', current_setting('load.user_id'), true),
       set_config('app.current_user_id', current_setting('load.user_id'), true);
DELETE FROM sales_order WHERE id = current_setting('load.order_id')::uuid;
DELETE FROM sales_quote WHERE id = current_setting('load.quote_id')::uuid;
DELETE FROM opportunity WHERE id = current_setting('load.opportunity_id')::uuid;
DELETE FROM lead WHERE id = current_setting('load.lead_id')::uuid;
DELETE FROM customer WHERE id = current_setting('load.customer_id')::uuid;
COMMIT;
