-- check: foreign_keys_indexed_already
-- title: Indexes that migration 009 would make a second time
-- severity: warn, fail from 4
-- phases: 0,4
-- expected: no index that begins with the column of one of the seven foreign keys that 009 indexes
-- action: DROP INDEX CONCURRENTLY the one named, if it is on that column alone: 009 builds its like under its own name; if it is on more columns, keep it and drop 009's afterwards
-- reads: catalogues
SELECT
    format('index %s', indexrelid::regclass) AS object,
    1::bigint AS found,
    format('%s.%s is indexed by it already; 009 makes %1$s_%2$s_idx', name, col) AS detail
FROM (VALUES
    ('ai_dataset',      'created_by'),
    ('alert_rule',      'created_by'),
    ('dashboard_share', 'shared_by'),
    ('data_import',     'connector_id'),
    ('integration_log', 'import_id'),
    ('purchase_order',  'approved_by'),
    ('ticket_comment',  'user_id')
) AS planned (name, col)
JOIN pg_attribute ON attrelid = to_regclass(name) AND attname = col AND NOT attisdropped
JOIN pg_index ON indrelid = attrelid AND indkey[0] = attnum AND indisvalid AND indpred IS NULL
WHERE indexrelid IS DISTINCT FROM to_regclass(format('%s_%s_idx', name, col))
ORDER BY 1
