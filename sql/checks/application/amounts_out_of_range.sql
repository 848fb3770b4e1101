-- check: amounts_out_of_range
-- title: Amounts that are no amount, or beyond what the finance tables hold
-- severity: fail
-- phases: 3
-- expected: every amount is a number of at most ten digits before the point (eight for a unit price) and two after
-- action: correct the rows named, by their keys; control totals cannot be taken over them
-- reads: customer, inventory_item, purchase_order, purchase_order_item once each
SELECT
    format('%s.%s', table_name, column_name) AS object,
    count(*)::bigint AS found,
    format('keys %s', left(string_agg(id::text, ', ' ORDER BY id), 400)) AS detail
FROM (
    SELECT 'customer' AS table_name, 'lifetime_value' AS column_name, id, lifetime_value::numeric AS amount, 9999999999.99 AS largest
    FROM public.customer

    UNION ALL
    SELECT 'inventory_item', 'unit_price', id, unit_price::numeric, 99999999.99
    FROM public.inventory_item

    UNION ALL
    SELECT 'purchase_order', listed.column_name, id, listed.amount, 9999999999.99
    FROM public.purchase_order
    CROSS JOIN LATERAL (VALUES
        ('total_amount', total_amount::numeric),
        ('tax_amount', tax_amount::numeric),
        ('shipping_amount', shipping_amount::numeric)
    ) AS listed (column_name, amount)

    UNION ALL
    SELECT 'purchase_order_item', listed.column_name, id, listed.amount, listed.largest
    FROM public.purchase_order_item
    CROSS JOIN LATERAL (VALUES
        ('unit_price', unit_price::numeric, 99999999.99),
        ('total_price', total_price::numeric, 9999999999.99)
    ) AS listed (column_name, amount, largest)
) AS amounts
WHERE NOT amount BETWEEN 0 AND largest   -- NaN is greater than everything
   OR amount <> round(amount, 2)
GROUP BY table_name, column_name
ORDER BY table_name, column_name
