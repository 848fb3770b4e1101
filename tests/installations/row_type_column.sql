-- variant: row_type_column
-- kind: columns of a table's row type, which gain a field when the table gains a column
-- expect: passes

CREATE TABLE customer_merge (
    id         bigint          GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kept       uuid            REFERENCES customer ON DELETE CASCADE,
    merged     customer,
    orders     purchase_order[],
    merged_at  timestamptz     DEFAULT now()
);

ALTER TABLE customer_merge ENABLE ROW LEVEL SECURITY;
CREATE POLICY customer_merge_of_own_organization ON customer_merge
    USING (kept IN (SELECT id FROM customer WHERE org_id = (SELECT current_org_id())));
CREATE INDEX customer_merge_kept_idx ON customer_merge (kept);

INSERT INTO customer_merge (kept, merged, orders)
SELECT c.id, c, ARRAY(SELECT o FROM purchase_order AS o WHERE o.org_id = c.org_id ORDER BY o.id LIMIT 2)
FROM customer AS c
ORDER BY c.id
LIMIT 12;
