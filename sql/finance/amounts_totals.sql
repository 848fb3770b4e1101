-- Control totals of the rows that amounts_compared.sql (here: pg_temp.amount_compared) did not leave out, before and after.
-- returns: side (before, after), then as control_totals_after.sql. The two sides must agree to the last digit.
WITH named (table_name, columns) AS (
    VALUES
        ('customer', ARRAY['lifetime_value']),
        ('inventory_item', ARRAY['unit_price']),
        ('purchase_order', ARRAY['total_amount', 'tax_amount', 'shipping_amount']),
        ('purchase_order_item', ARRAY['unit_price', 'total_price'])
)
SELECT
    seen.side,
    seen.org_id,
    table_name,
    named.columns[listed.place] AS column_name,
    seen.currency,
    count(*) AS rows,
    coalesce(sum(listed.amount), 0) AS total
FROM pg_temp.amount_compared AS c
JOIN named USING (table_name)
CROSS JOIN LATERAL (VALUES
    ('before', c.org_id, c.currency, c.amounts),
    ('after', c.org_now, c.currency_now, c.amounts_now)
) AS seen (side, org_id, currency, amounts)
CROSS JOIN LATERAL unnest(seen.amounts) WITH ORDINALITY AS listed (amount, place)
WHERE c.fate = 'compared'
GROUP BY seen.side, seen.org_id, table_name, column_name, seen.currency
