-- Every row of money there was before 003, to be kept in a file: whose it is, its amounts, and when the application changed it.
-- requires: nothing of 003; works as well where it is half applied
-- reads: organization, customer, inventory_item, purchase_order, purchase_order_item; locks nothing
-- returns: table_name, id, org_id, code (what the settings name as currency), updated_at, order_updated_at (of a line's
--   order), amounts (in the order in which amounts_totals.sql names them)
SELECT
    'customer' AS table_name, c.id, c.org_id, o.settings ->> 'currency' AS code,
    c.updated_at, NULL::timestamptz AS order_updated_at,
    ARRAY[c.lifetime_value] AS amounts
FROM public.customer AS c
JOIN public.organization AS o ON o.id = c.org_id

UNION ALL
SELECT 'inventory_item', i.id, i.org_id, o.settings ->> 'currency', i.updated_at, NULL, ARRAY[i.unit_price]
FROM public.inventory_item AS i
JOIN public.organization AS o ON o.id = i.org_id

UNION ALL
SELECT
    'purchase_order', p.id, p.org_id, o.settings ->> 'currency', p.updated_at, NULL,
    ARRAY[p.total_amount, p.tax_amount, p.shipping_amount]
FROM public.purchase_order AS p
JOIN public.organization AS o ON o.id = p.org_id

UNION ALL
SELECT
    'purchase_order_item', l.id, p.org_id, o.settings ->> 'currency', l.updated_at, p.updated_at,
    ARRAY[l.unit_price, l.total_price]
FROM public.purchase_order_item AS l
JOIN public.purchase_order AS p ON p.id = l.purchase_order_id
JOIN public.organization AS o ON o.id = p.org_id
