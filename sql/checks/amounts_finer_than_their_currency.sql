-- check: amounts_finer_than_their_currency
-- title: Amounts with digits that their currency does not have
-- severity: warn
-- phases: 3
-- expected: organisations in JPY have whole amounts
-- action: nothing is rounded by the migration; tell the organisations, new invoices and payments in JPY take whole amounts only
-- reads: customer, inventory_item, purchase_order, purchase_order_item once each, for organisations in JPY
SELECT
    format('organisation %s, %s.%s', org_id, table_name, column_name) AS object,
    count(*)::bigint AS found,
    'amounts in JPY with digits after the point' AS detail
FROM (
    SELECT org_id, 'customer' AS table_name, 'lifetime_value' AS column_name, lifetime_value AS amount
    FROM public.customer

    UNION ALL
    SELECT org_id, 'inventory_item', 'unit_price', unit_price
    FROM public.inventory_item

    UNION ALL
    SELECT org_id, 'purchase_order', listed.column_name, listed.amount
    FROM public.purchase_order
    CROSS JOIN LATERAL (VALUES
        ('total_amount', total_amount),
        ('tax_amount', tax_amount),
        ('shipping_amount', shipping_amount)
    ) AS listed (column_name, amount)

    UNION ALL
    SELECT o.org_id, 'purchase_order_item', 'unit_price', i.unit_price
    FROM public.purchase_order_item AS i
    JOIN public.purchase_order AS o ON o.id = i.purchase_order_id
) AS amounts
JOIN public.organization AS tenant ON tenant.id = amounts.org_id
WHERE tenant.settings ->> 'currency' = 'JPY'
  AND amount <> trunc(amount)
GROUP BY org_id, table_name, column_name
ORDER BY org_id, table_name, column_name
