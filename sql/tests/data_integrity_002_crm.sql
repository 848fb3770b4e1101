-- Data integrity of CRM and sales (migration 002): one row a test, and how many rows fail it. Zero everywhere is right.
-- The first two are the strategy's. Foreign keys, checks and triggers keep all of them; this asks the rows themselves, also
-- those that came in while triggers slept (restored, replicated, loaded).
-- Requires: 002, a role above row-level security. Locks nothing but ACCESS SHARE.

-- step: data integrity of CRM and sales
SELECT
    'customers_without_org' AS test_case,
    count(*) AS failure_count
FROM customer AS c
LEFT JOIN organization AS o ON c.org_id = o.id
WHERE o.id IS NULL

UNION ALL
SELECT 'orphaned_customer_contacts', count(*)
FROM customer_contact AS cc
LEFT JOIN customer AS c ON cc.customer_id = c.id
WHERE c.id IS NULL

UNION ALL
SELECT 'customers_with_two_primary_contacts', count(*)
FROM (SELECT FROM customer_contact WHERE is_primary GROUP BY customer_id HAVING count(*) > 1) AS customers

UNION ALL
SELECT 'organizations_with_two_default_price_lists', count(*)
FROM (SELECT FROM price_list WHERE is_default GROUP BY org_id HAVING count(*) > 1) AS organizations

UNION ALL
SELECT 'products_with_one_sku', count(*)
FROM (SELECT FROM product GROUP BY org_id, sku HAVING count(*) > 1) AS skus

UNION ALL
SELECT 'orders_with_one_number', count(*)
FROM (SELECT FROM sales_order GROUP BY org_id, order_number HAVING count(*) > 1) AS numbers

UNION ALL
SELECT 'quotes_with_one_number', count(*)
FROM (SELECT FROM sales_quote GROUP BY org_id, quote_number HAVING count(*) > 1) AS numbers

UNION ALL
SELECT 'converted_leads_that_are_still_open', count(*)
FROM lead
WHERE converted_at IS NOT NULL AND status NOT IN ('won', 'lost')

UNION ALL
SELECT 'leads_with_a_customer_and_no_time', count(*)
FROM lead
WHERE converted_to_customer_id IS NOT NULL AND converted_at IS NULL

UNION ALL
SELECT 'quotes_with_two_orders', count(*)
FROM (SELECT FROM sales_order WHERE quote_id IS NOT NULL GROUP BY quote_id HAVING count(*) > 1) AS quotes

UNION ALL
SELECT 'quotes_converted_to_an_order_of_another_quote', count(*)
FROM sales_quote AS q
JOIN sales_order AS o ON o.id = q.converted_to_order_id
WHERE o.quote_id IS DISTINCT FROM q.id

UNION ALL
SELECT 'lines_of_quotes_with_a_wrong_total', count(*)
FROM sales_quote_item AS i
JOIN sales_quote AS h ON h.id = i.quote_id
WHERE i.line_total IS DISTINCT FROM round_money(i.quantity * i.unit_price * (100 - coalesce(i.discount_percentage, 0)) * 0.01, h.currency)

UNION ALL
SELECT 'lines_of_orders_with_a_wrong_total', count(*)
FROM sales_order_item AS i
JOIN sales_order AS h ON h.id = i.order_id
WHERE i.line_total IS DISTINCT FROM round_money(i.quantity * i.unit_price * (100 - coalesce(i.discount_percentage, 0)) * 0.01, h.currency)

UNION ALL
SELECT 'quotes_that_are_not_the_sum_of_their_lines', count(*)
FROM sales_quote AS q
LEFT JOIN (
    SELECT i.quote_id, sum(i.line_total) AS subtotal, sum(round_money(i.line_total * coalesce(i.tax_rate, 0) * 0.01, h.currency)) AS tax
    FROM sales_quote_item AS i
    JOIN sales_quote AS h ON h.id = i.quote_id
    GROUP BY i.quote_id
) AS lines ON lines.quote_id = q.id
WHERE q.subtotal IS DISTINCT FROM coalesce(lines.subtotal, 0)
   OR q.tax_amount IS DISTINCT FROM coalesce(lines.tax, 0)
   OR q.total_amount IS DISTINCT FROM q.subtotal + q.tax_amount + q.shipping_amount - q.discount_amount

UNION ALL
SELECT 'orders_that_are_not_the_sum_of_their_lines', count(*)
FROM sales_order AS o
LEFT JOIN (
    SELECT i.order_id, sum(i.line_total) AS subtotal, sum(round_money(i.line_total * coalesce(i.tax_rate, 0) * 0.01, h.currency)) AS tax
    FROM sales_order_item AS i
    JOIN sales_order AS h ON h.id = i.order_id
    GROUP BY i.order_id
) AS lines ON lines.order_id = o.id
WHERE o.subtotal IS DISTINCT FROM coalesce(lines.subtotal, 0)
   OR o.tax_amount IS DISTINCT FROM coalesce(lines.tax, 0)
   OR o.total_amount IS DISTINCT FROM o.subtotal + o.tax_amount + o.shipping_amount - o.discount_amount

UNION ALL
SELECT 'amounts_without_a_currency', (
    (SELECT count(*) FROM opportunity WHERE currency IS NULL)
    + (SELECT count(*) FROM price_list WHERE currency IS NULL)
    + (SELECT count(*) FROM sales_quote WHERE currency IS NULL)
    + (SELECT count(*) FROM sales_order WHERE currency IS NULL)
)

UNION ALL
SELECT 'references_to_another_organization', count(*)
FROM (
    SELECT r.org_id AS own, p.org_id AS other FROM lead AS r JOIN customer AS p ON p.id = r.converted_to_customer_id
    UNION ALL SELECT r.org_id, p.org_id FROM opportunity AS r JOIN customer AS p ON p.id = r.customer_id
    UNION ALL SELECT r.org_id, p.org_id FROM opportunity AS r JOIN lead AS p ON p.id = r.lead_id
    UNION ALL SELECT r.org_id, p.org_id FROM crm_activity AS r JOIN customer AS p ON p.id = r.customer_id
    UNION ALL SELECT r.org_id, p.org_id FROM crm_activity AS r JOIN lead AS p ON p.id = r.lead_id
    UNION ALL SELECT r.org_id, p.org_id FROM crm_activity AS r JOIN opportunity AS p ON p.id = r.opportunity_id
    UNION ALL SELECT r.org_id, p.org_id FROM product AS r JOIN inventory_item AS p ON p.id = r.inventory_item_id
    UNION ALL SELECT r.org_id, p.org_id FROM sales_quote AS r JOIN customer AS p ON p.id = r.customer_id
    UNION ALL SELECT r.org_id, p.org_id FROM sales_quote AS r JOIN opportunity AS p ON p.id = r.opportunity_id
    UNION ALL SELECT r.org_id, p.org_id FROM sales_quote AS r JOIN sales_order AS p ON p.id = r.converted_to_order_id
    UNION ALL SELECT r.org_id, p.org_id FROM sales_order AS r JOIN customer AS p ON p.id = r.customer_id
    UNION ALL SELECT r.org_id, p.org_id FROM sales_order AS r JOIN sales_quote AS p ON p.id = r.quote_id
    UNION ALL SELECT r.org_id, p.org_id FROM quality_control AS r JOIN inventory_item AS p ON p.id = r.inventory_item_id
    UNION ALL SELECT r.org_id, p.org_id FROM quality_control AS r JOIN purchase_order AS p ON p.id = r.purchase_order_id
    UNION ALL
    SELECT h.org_id, p.org_id
    FROM sales_quote_item AS r JOIN sales_quote AS h ON h.id = r.quote_id JOIN product AS p ON p.id = r.product_id
    UNION ALL
    SELECT h.org_id, p.org_id
    FROM sales_order_item AS r JOIN sales_order AS h ON h.id = r.order_id JOIN product AS p ON p.id = r.product_id
    UNION ALL
    SELECT l.org_id, p.org_id
    FROM product_price AS r JOIN price_list AS l ON l.id = r.price_list_id JOIN product AS p ON p.id = r.product_id
) AS reference
WHERE own IS DISTINCT FROM other

UNION ALL
SELECT 'numbers_behind_their_documents', count(*)
FROM document_number AS n
JOIN (
    SELECT org_id, 'sales_order' AS kind, order_number AS number FROM sales_order WHERE order_number ~ '^SO-\d{4}-\d{6,15}$'
    UNION ALL SELECT org_id, 'sales_quote', quote_number FROM sales_quote WHERE quote_number ~ '^SQ-\d{4}-\d{6,15}$'
) AS document USING (org_id, kind)
WHERE n.year = substr(number, 4, 4)::integer AND n.last_number < substr(number, 9)::bigint;
