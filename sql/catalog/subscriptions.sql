-- Subscriptions of this database. Not the connection: it may hold a password, and only a superuser may read it.
-- Not whether it is enabled: no restored one is.
SELECT
    quote_ident(s.subname) AS name,
    concat_ws('; ',
        'to ' || array_to_string(s.subpublications, ', '),
        'slot ' || s.subslotname,
        'synchronous_commit ' || s.subsynccommit,
        CASE WHEN s.subbinary THEN 'binary' END,
        'owner ' || s.subowner::regrole
    ) AS definition
FROM pg_subscription AS s
JOIN pg_database AS d ON d.oid = s.subdbid
WHERE d.datname = current_database()
