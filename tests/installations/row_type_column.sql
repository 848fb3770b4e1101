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

INSERT INTO customer_merge (kept, merged, orders)
SELECT c.id, c, ARRAY(SELECT o FROM purchase_order AS o WHERE o.org_id = c.org_id ORDER BY o.id LIMIT 2)
FROM customer AS c
ORDER BY c.id
LIMIT 12;
