-- Control totals of the baseline's amounts before 003: per organisation and currency, the currency as the settings mean it.
-- requires: 001 (the enum currency_code), mantis_runbook.decision
-- reads: organization, customer, inventory_item, purchase_order, purchase_order_item once each; locks nothing
-- returns: org_id, table_name, column_name, currency (text; the code as found, in quotes, where nobody has decided yet),
--   rows, total. Must equal control_totals_after.sql to the last digit; take it in the snapshot that is approved.
-- The rule is that of currency_of_settings() in 003: exactly a label, and USD where there is none.
WITH known AS (
    SELECT
        o.id AS org_id,
        coalesce(
            CASE WHEN code IS NULL THEN 'USD' END,
            (
                SELECT enumlabel::text
                FROM pg_enum
                WHERE enumtypid = 'public.currency_code'::regtype
                  AND enumlabel = code
            ),
            (SELECT d.value FROM mantis_runbook.decision AS d WHERE d.subject = 'currency' AND d.key = code),
            quote_literal(code)
        ) AS currency
    FROM public.organization AS o
    CROSS JOIN LATERAL (SELECT o.settings ->> 'currency' AS code) AS named
),
amounts AS (
    SELECT org_id, 'customer' AS table_name, 'lifetime_value' AS column_name, lifetime_value AS amount
    FROM public.customer

    UNION ALL
    SELECT org_id, 'inventory_item', 'unit_price', unit_price
    FROM public.inventory_item

    UNION ALL
    SELECT o.org_id, 'purchase_order', listed.column_name, listed.amount
    FROM public.purchase_order AS o
    CROSS JOIN LATERAL (VALUES
        ('total_amount', o.total_amount),
        ('tax_amount', o.tax_amount),
        ('shipping_amount', o.shipping_amount)
    ) AS listed (column_name, amount)

    UNION ALL
    SELECT o.org_id, 'purchase_order_item', listed.column_name, listed.amount
    FROM public.purchase_order_item AS i
    JOIN public.purchase_order AS o ON o.id = i.purchase_order_id
    CROSS JOIN LATERAL (VALUES
        ('unit_price', i.unit_price),
        ('total_price', i.total_price)
    ) AS listed (column_name, amount)
)
SELECT org_id, table_name, column_name, currency, count(*) AS rows, coalesce(sum(amount), 0) AS total
FROM amounts
JOIN known USING (org_id)
GROUP BY org_id, table_name, column_name, currency
ORDER BY org_id, table_name, column_name, currency
