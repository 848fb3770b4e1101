-- Migration 009: Index optimisation, validation
--
-- What it is: each step returns rows when something is not as 009 made it. It reads catalogues.
--
-- What it locks: nothing but ACCESS SHARE.

-- step: each of the foreign keys has a valid index, under whatever name
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
    JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
    WHERE indrelid = to_regclass(name)
      AND attname = col
      AND indisvalid
      AND indisready
      AND indpred IS NULL
);
