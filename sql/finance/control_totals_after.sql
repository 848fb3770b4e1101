-- Control totals of the baseline's amounts after 003: per organisation and currency, the currency as each row has it.
-- requires: 003
-- reads: customer, inventory_item, purchase_order, purchase_order_item once each; locks nothing
-- returns: org_id, table_name, column_name, currency (text; 'none' where a row has none), rows, total. Must equal
--   control_totals_before.sql to the last digit.
WITH amounts AS (
    SELECT org_id, 'customer' AS table_name, 'lifetime_value' AS column_name, currency, lifetime_value AS amount
    FROM public.customer

    UNION ALL
    SELECT org_id, 'inventory_item', 'unit_price', currency, unit_price
    FROM public.inventory_item

    UNION ALL
    SELECT o.org_id, 'purchase_order', listed.column_name, o.currency, listed.amount
    FROM public.purchase_order AS o
    CROSS JOIN LATERAL (VALUES
        ('total_amount', o.total_amount),
        ('tax_amount', o.tax_amount),
        ('shipping_amount', o.shipping_amount)
    ) AS listed (column_name, amount)

    UNION ALL
    SELECT o.org_id, 'purchase_order_item', listed.column_name, i.currency, listed.amount
    FROM public.purchase_order_item AS i
    JOIN public.purchase_order AS o ON o.id = i.purchase_order_id
    CROSS JOIN LATERAL (VALUES
        ('unit_price', i.unit_price),
        ('total_price', i.total_price)
    ) AS listed (column_name, amount)
)
SELECT org_id, table_name, column_name, coalesce(currency::text, 'none') AS currency, count(*) AS rows, coalesce(sum(amount), 0) AS total
FROM amounts
GROUP BY org_id, table_name, column_name, currency
ORDER BY org_id, table_name, column_name, currency
