-- check: amounts_finer_than_their_currency
-- title: Amounts with digits that their currency does not have
-- severity: warn
-- phases: 3
-- expected: organisations in JPY, and in any other currency without a minor unit that is added or mapped to, have whole amounts
-- action: nothing is rounded by the migration; tell the organisations, new invoices and payments in such a currency take whole amounts only
-- reads: customer, inventory_item, purchase_order, purchase_order_item once each, for organisations in such a currency; mantis_runbook.decision
SELECT
    format('organisation %s, %s.%s', org_id, table_name, column_name) AS object,
    count(*)::bigint AS found,
    format('amounts in %s with digits after the point', meant.currency) AS detail
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
CROSS JOIN LATERAL (
    SELECT coalesce(
        (SELECT value FROM mantis_runbook.decision WHERE subject = 'currency' AND key = tenant.settings ->> 'currency'),
        tenant.settings ->> 'currency'
    ) AS currency
) AS meant
WHERE meant.currency IN (
      'BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'VND', 'VUV', 'XAF', 'XOF', 'XPF'
  )
  AND amount <> trunc(amount)
GROUP BY org_id, table_name, column_name, meant.currency
ORDER BY org_id, table_name, column_name
