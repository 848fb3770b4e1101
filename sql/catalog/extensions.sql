-- Extensions, each standing for all of its members. Not the owner: pg_dump does not keep it.
SELECT
    quote_ident(e.extname) AS name,
    'version ' || e.extversion || ' in schema ' || e.extnamespace::regnamespace AS definition
FROM pg_extension AS e
