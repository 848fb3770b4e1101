-- A table like `customer`: 12 columns of the types that the baseline has, 20 organisations.
CREATE TABLE {table} AS
SELECT
    gen_random_uuid() AS id,
    ('00000000-0000-4000-8000-' || lpad((i % 20)::text, 12, '0'))::uuid AS org_id,
    'customer ' || i AS name,
    'customer' || i || '@example.com' AS email,
    (i % 100000 / 7.0)::numeric(12,2) AS lifetime_value,
    (ARRAY['active', 'inactive', 'churned'])[1 + i % 3] AS status,
    i AS score,
    i % 2 = 0 AS is_active,
    jsonb_build_object('city', 'Bonn', 'number', i) AS address,
    ARRAY['a', 'b'] AS tags,
    now() - i * interval '1 minute' AS created_at,
    now() AS updated_at
FROM generate_series(1, {rows}) AS i
