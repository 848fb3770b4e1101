-- check: items_sharing_a_sku
-- title: Inventory items of one organisation whose SKU differs in case only
-- severity: warn
-- phases: 0,2
-- expected: a SKU once in an organisation, upper and lower case and spaces around it alike
-- action: rename one of them, or merge the items: products of 02_crm_sales.ipynb are found by SKU
-- reads: inventory_item once
WITH shared AS (
    SELECT org_id, count(*) AS items
    FROM inventory_item
    GROUP BY org_id, lower(btrim(sku))
    HAVING count(*) > 1
)
SELECT
    format('items of organisation %s', org_id) AS object,
    count(*) AS found,
    format('%s SKU(s) shared by %s items', count(*), sum(items)) AS detail
FROM shared
GROUP BY org_id
ORDER BY org_id
