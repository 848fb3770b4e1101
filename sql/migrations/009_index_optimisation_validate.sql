-- Migration 009: Index optimisation, validation
--
-- What it is: each step returns rows when something is not as 009 made it. It reads catalogues.
--
-- What it locks: nothing but ACCESS SHARE.

-- step: the seven foreign keys have their indexes, valid
SELECT name AS table_name, col AS without_index
FROM (VALUES
    ('ai_dataset',      'created_by'),
    ('alert_rule',      'created_by'),
    ('dashboard_share', 'shared_by'),
    ('data_import',     'connector_id'),
    ('integration_log', 'import_id'),
    ('purchase_order',  'approved_by'),
    ('ticket_comment',  'user_id')
) AS wanted (name, col)
WHERE NOT EXISTS (
    SELECT
    FROM pg_index
    WHERE indexrelid = to_regclass(format('%s_%s_idx', name, col))
      AND indrelid = to_regclass(name)
      AND indisvalid
      AND indisready
      AND indpred IS NULL
      AND pg_get_indexdef(indexrelid) LIKE format('%% USING btree (%s)', col)
);

-- step: none of them is there twice
SELECT name AS table_name, other.indexrelid::regclass AS makes_redundant
FROM (VALUES
    ('ai_dataset',      'created_by'),
    ('alert_rule',      'created_by'),
    ('dashboard_share', 'shared_by'),
    ('data_import',     'connector_id'),
    ('integration_log', 'import_id'),
    ('purchase_order',  'approved_by'),
    ('ticket_comment',  'user_id')
) AS wanted (name, col)
JOIN pg_attribute ON attrelid = to_regclass(name) AND attname = col
JOIN pg_index AS other ON other.indrelid = attrelid AND other.indkey[0] = attnum AND other.indisvalid AND other.indpred IS NULL
WHERE other.indexrelid IS DISTINCT FROM to_regclass(format('%s_%s_idx', name, col));
