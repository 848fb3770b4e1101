-- variant: fewer_categories
-- kind: an enum of the application with fewer labels than ours
-- expect: passes

ALTER TYPE inventory_category RENAME TO inventory_category_before;
CREATE TYPE inventory_category AS ENUM ('raw_materials', 'finished_goods', 'services');
ALTER TABLE inventory_item
    ALTER COLUMN category TYPE inventory_category
    USING (CASE WHEN category::text IN ('raw_materials', 'services') THEN category::text ELSE 'finished_goods' END)::inventory_category;
DROP TYPE inventory_category_before;
