-- check: extensions_available
-- title: Extensions that the server must offer
-- severity: fail
-- phases: 0,1
-- expected: hstore, ltree, pg_trgm, btree_gin and btree_gist
-- action: install the server's contrib modules (postgresql-contrib, or the distribution's package), then look again; no restart is needed
-- reads: pg_available_extensions
SELECT wanted.name AS object, 1::bigint AS found, 'not offered by this server' AS detail
FROM unnest(ARRAY['btree_gin', 'btree_gist', 'hstore', 'ltree', 'pg_trgm']) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_available_extensions WHERE pg_available_extensions.name = wanted.name)
  AND NOT EXISTS (SELECT FROM pg_extension WHERE extname = wanted.name)
ORDER BY 1
