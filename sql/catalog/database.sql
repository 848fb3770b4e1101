-- Settings of this database, and of roles in it. Settings with a dot in their name are an application's own and may be
-- secrets (a key that signs tokens): told by a short hash.
SELECT
    'setting ' || split_part(pair, '=', 1) || coalesce(' of ' || nullif(s.setrole, 0)::regrole, '') AS name,
    CASE
        WHEN split_part(pair, '=', 1) LIKE '%%.%%'
        THEN 'hidden, hash ' || substr(encode(sha256(convert_to(pair, 'UTF8')), 'hex'), 1, 8)
        ELSE substr(pair, strpos(pair, '=') + 1)
    END AS definition
FROM pg_db_role_setting AS s
JOIN pg_database AS d ON d.oid = s.setdatabase
CROSS JOIN unnest(s.setconfig) AS pair
WHERE d.datname = current_database()
