-- Enums: their labels in order.
SELECT
    t.oid::regtype::text AS name,
    concat_ws('; ',
        (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) FROM pg_enum AS e WHERE e.enumtypid = t.oid),
        'owner ' || t.typowner::regrole
    ) AS definition
FROM pg_type AS t
WHERE t.oid = ANY (%(types)s::oid[]) AND t.typtype = 'e'
