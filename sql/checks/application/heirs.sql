-- check: heirs
-- title: Tables that INHERIT from one that gets a currency
-- severity: fail
-- phases: 0,3
-- expected: no heir of customer, inventory_item, purchase_order and purchase_order_item: the new column is NOT NULL there too, and the trigger that fills it for an application that does not know it is not inherited
-- action: ALTER TABLE heir NO INHERIT parent; run phase 3; give the heir a column currency of its own (type currency_code, NOT NULL, a trigger or a default that fills it), and ALTER TABLE heir INHERIT parent again
-- reads: catalogues
SELECT
    format('table %s', inhrelid::regclass) AS object,
    1::bigint AS found,
    format('inherits from %s', inhparent::regclass) AS detail
FROM pg_inherits
JOIN pg_class ON pg_class.oid = inhrelid AND NOT relispartition
WHERE inhparent IN (
    to_regclass('public.customer'), to_regclass('public.inventory_item'), to_regclass('public.purchase_order'),
    to_regclass('public.purchase_order_item')
)
ORDER BY 1
