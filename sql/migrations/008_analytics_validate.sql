-- Migration 008: Analytics, validation
--
-- What it is: each step raises, or returns rows, when something is not as 008 made it. The sums are compared by running what
-- the materialized views are made of beside sums over one table at a time, in one statement and so in one snapshot: what the
-- application writes meanwhile makes no difference.
--
-- What it locks: nothing but ACCESS SHARE.

-- step: columns are there
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH wanted (name, col, type, required, standard) AS (
        VALUES
            ('customer_analytics',              'org_id',              'uuid',                     false, ''),
            ('customer_analytics',              'customer_id',         'uuid',                     false, ''),
            ('customer_analytics',              'customer_name',       'text',                     false, ''),
            ('customer_analytics',              'segment',             'customer_segment',         false, ''),
            ('customer_analytics',              'status',              'customer_status',          false, ''),
            ('customer_analytics',              'orders',              'bigint',                   false, ''),
            ('customer_analytics',              'cancelled_orders',    'bigint',                   false, ''),
            ('customer_analytics',              'order_value',         'numeric',                  false, ''),
            ('customer_analytics',              'last_order_date',     'date',                     false, ''),
            ('customer_analytics',              'invoices',            'bigint',                   false, ''),
            ('customer_analytics',              'invoiced',            'numeric',                  false, ''),
            ('customer_analytics',              'paid',                'numeric',                  false, ''),
            ('customer_analytics',              'due',                 'numeric',                  false, ''),
            ('customer_analytics',              'tickets',             'bigint',                   false, ''),
            ('customer_analytics',              'open_tickets',        'bigint',                   false, ''),
            ('customer_analytics',              'interactions',        'bigint',                   false, ''),
            ('customer_analytics',              'last_interaction_at', 'timestamp with time zone', false, ''),
            ('customer_analytics',              'average_sentiment',   'numeric',                  false, ''),
            ('customer_analytics',              'currencies',          'currency_code[]',          false, ''),
            ('customer_analytics',              'amounts_by_currency', 'jsonb',                    false, ''),
            ('sales_performance',               'org_id',              'uuid',                     false, ''),
            ('sales_performance',               'month',               'date',                     false, ''),
            ('sales_performance',               'orders',              'bigint',                   false, ''),
            ('sales_performance',               'order_value',         'numeric',                  false, ''),
            ('sales_performance',               'cancelled_orders',    'bigint',                   false, ''),
            ('sales_performance',               'cancelled_value',     'numeric',                  false, ''),
            ('sales_performance',               'customers',           'bigint',                   false, ''),
            ('sales_performance',               'quotes',              'bigint',                   false, ''),
            ('sales_performance',               'quote_value',         'numeric',                  false, ''),
            ('sales_performance',               'converted_quotes',    'bigint',                   false, ''),
            ('sales_performance',               'leads',               'bigint',                   false, ''),
            ('sales_performance',               'converted_leads',     'bigint',                   false, ''),
            ('sales_performance',               'won_opportunities',   'bigint',                   false, ''),
            ('sales_performance',               'won_value',           'numeric',                  false, ''),
            ('sales_performance',               'average_order_value', 'numeric',                  false, ''),
            ('sales_performance',               'currencies',          'currency_code[]',          false, ''),
            ('sales_performance',               'amounts_by_currency', 'jsonb',                    false, ''),
            ('financial_overview',              'org_id',              'uuid',                     false, ''),
            ('financial_overview',              'month',               'date',                     false, ''),
            ('financial_overview',              'invoices',            'bigint',                   false, ''),
            ('financial_overview',              'invoiced',            'numeric',                  false, ''),
            ('financial_overview',              'tax',                 'numeric',                  false, ''),
            ('financial_overview',              'cancelled',           'numeric',                  false, ''),
            ('financial_overview',              'due',                 'numeric',                  false, ''),
            ('financial_overview',              'payments',            'bigint',                   false, ''),
            ('financial_overview',              'paid',                'numeric',                  false, ''),
            ('financial_overview',              'received',            'numeric',                  false, ''),
            ('financial_overview',              'refunded',            'numeric',                  false, ''),
            ('financial_overview',              'purchases',           'bigint',                   false, ''),
            ('financial_overview',              'purchased',           'numeric',                  false, ''),
            ('financial_overview',              'currencies',          'currency_code[]',          false, ''),
            ('financial_overview',              'amounts_by_currency', 'jsonb',                    false, ''),
            ('inventory_performance',           'org_id',              'uuid',                     false, ''),
            ('inventory_performance',           'inventory_item_id',   'uuid',                     false, ''),
            ('inventory_performance',           'sku',                 'text',                     false, ''),
            ('inventory_performance',           'item_name',           'text',                     false, ''),
            ('inventory_performance',           'category',            'inventory_category',       false, ''),
            ('inventory_performance',           'orders',              'bigint',                   false, ''),
            ('inventory_performance',           'sold',                'numeric',                  false, ''),
            ('inventory_performance',           'revenue',             'numeric',                  false, ''),
            ('inventory_performance',           'currencies',          'currency_code[]',          false, ''),
            ('inventory_performance',           'amounts_by_currency', 'jsonb',                    false, ''),
            ('inventory_performance',           'quantity_on_hand',    'integer',                  false, ''),
            ('inventory_performance',           'quantity_available',  'integer',                  false, ''),
            ('inventory_performance',           'stock_status',        'text',                     false, ''),
            ('inventory_performance',           'stock_value',         'numeric',                  false, ''),
            ('inventory_performance',           'stock_currency',      'currency_code',            false, ''),
            ('customer_analytics_of_tenant',    'org_id',              'uuid',                     false, ''),
            ('customer_analytics_of_tenant',    'customer_id',         'uuid',                     false, ''),
            ('customer_analytics_of_tenant',    'customer_name',       'text',                     false, ''),
            ('customer_analytics_of_tenant',    'segment',             'customer_segment',         false, ''),
            ('customer_analytics_of_tenant',    'status',              'customer_status',          false, ''),
            ('customer_analytics_of_tenant',    'orders',              'bigint',                   false, ''),
            ('customer_analytics_of_tenant',    'cancelled_orders',    'bigint',                   false, ''),
            ('customer_analytics_of_tenant',    'order_value',         'numeric',                  false, ''),
            ('customer_analytics_of_tenant',    'last_order_date',     'date',                     false, ''),
            ('customer_analytics_of_tenant',    'invoices',            'bigint',                   false, ''),
            ('customer_analytics_of_tenant',    'invoiced',            'numeric',                  false, ''),
            ('customer_analytics_of_tenant',    'paid',                'numeric',                  false, ''),
            ('customer_analytics_of_tenant',    'due',                 'numeric',                  false, ''),
            ('customer_analytics_of_tenant',    'tickets',             'bigint',                   false, ''),
            ('customer_analytics_of_tenant',    'open_tickets',        'bigint',                   false, ''),
            ('customer_analytics_of_tenant',    'interactions',        'bigint',                   false, ''),
            ('customer_analytics_of_tenant',    'last_interaction_at', 'timestamp with time zone', false, ''),
            ('customer_analytics_of_tenant',    'average_sentiment',   'numeric',                  false, ''),
            ('customer_analytics_of_tenant',    'currencies',          'currency_code[]',          false, ''),
            ('customer_analytics_of_tenant',    'amounts_by_currency', 'jsonb',                    false, ''),
            ('sales_performance_of_tenant',     'org_id',              'uuid',                     false, ''),
            ('sales_performance_of_tenant',     'month',               'date',                     false, ''),
            ('sales_performance_of_tenant',     'orders',              'bigint',                   false, ''),
            ('sales_performance_of_tenant',     'order_value',         'numeric',                  false, ''),
            ('sales_performance_of_tenant',     'cancelled_orders',    'bigint',                   false, ''),
            ('sales_performance_of_tenant',     'cancelled_value',     'numeric',                  false, ''),
            ('sales_performance_of_tenant',     'customers',           'bigint',                   false, ''),
            ('sales_performance_of_tenant',     'quotes',              'bigint',                   false, ''),
            ('sales_performance_of_tenant',     'quote_value',         'numeric',                  false, ''),
            ('sales_performance_of_tenant',     'converted_quotes',    'bigint',                   false, ''),
            ('sales_performance_of_tenant',     'leads',               'bigint',                   false, ''),
            ('sales_performance_of_tenant',     'converted_leads',     'bigint',                   false, ''),
            ('sales_performance_of_tenant',     'won_opportunities',   'bigint',                   false, ''),
            ('sales_performance_of_tenant',     'won_value',           'numeric',                  false, ''),
            ('sales_performance_of_tenant',     'average_order_value', 'numeric',                  false, ''),
            ('sales_performance_of_tenant',     'currencies',          'currency_code[]',          false, ''),
            ('sales_performance_of_tenant',     'amounts_by_currency', 'jsonb',                    false, ''),
            ('financial_overview_of_tenant',    'org_id',              'uuid',                     false, ''),
            ('financial_overview_of_tenant',    'month',               'date',                     false, ''),
            ('financial_overview_of_tenant',    'invoices',            'bigint',                   false, ''),
            ('financial_overview_of_tenant',    'invoiced',            'numeric',                  false, ''),
            ('financial_overview_of_tenant',    'tax',                 'numeric',                  false, ''),
            ('financial_overview_of_tenant',    'cancelled',           'numeric',                  false, ''),
            ('financial_overview_of_tenant',    'due',                 'numeric',                  false, ''),
            ('financial_overview_of_tenant',    'payments',            'bigint',                   false, ''),
            ('financial_overview_of_tenant',    'paid',                'numeric',                  false, ''),
            ('financial_overview_of_tenant',    'received',            'numeric',                  false, ''),
            ('financial_overview_of_tenant',    'refunded',            'numeric',                  false, ''),
            ('financial_overview_of_tenant',    'purchases',           'bigint',                   false, ''),
            ('financial_overview_of_tenant',    'purchased',           'numeric',                  false, ''),
            ('financial_overview_of_tenant',    'currencies',          'currency_code[]',          false, ''),
            ('financial_overview_of_tenant',    'amounts_by_currency', 'jsonb',                    false, ''),
            ('inventory_performance_of_tenant', 'org_id',              'uuid',                     false, ''),
            ('inventory_performance_of_tenant', 'inventory_item_id',   'uuid',                     false, ''),
            ('inventory_performance_of_tenant', 'sku',                 'text',                     false, ''),
            ('inventory_performance_of_tenant', 'item_name',           'text',                     false, ''),
            ('inventory_performance_of_tenant', 'category',            'inventory_category',       false, ''),
            ('inventory_performance_of_tenant', 'orders',              'bigint',                   false, ''),
            ('inventory_performance_of_tenant', 'sold',                'numeric',                  false, ''),
            ('inventory_performance_of_tenant', 'revenue',             'numeric',                  false, ''),
            ('inventory_performance_of_tenant', 'currencies',          'currency_code[]',          false, ''),
            ('inventory_performance_of_tenant', 'amounts_by_currency', 'jsonb',                    false, ''),
            ('inventory_performance_of_tenant', 'quantity_on_hand',    'integer',                  false, ''),
            ('inventory_performance_of_tenant', 'quantity_available',  'integer',                  false, ''),
            ('inventory_performance_of_tenant', 'stock_status',        'text',                     false, ''),
            ('inventory_performance_of_tenant', 'stock_value',         'numeric',                  false, ''),
            ('inventory_performance_of_tenant', 'stock_currency',      'currency_code',            false, '')
    ),
    found AS (
        SELECT relname::text, attname::text, format_type(atttypid, atttypmod), attnotnull, coalesce(pg_get_expr(adbin, adrelid), '')
        FROM pg_attribute
        JOIN pg_class ON pg_class.oid = attrelid
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped
    )
    SELECT string_agg(format('%s.%s %s%s%s', name, col, type, CASE WHEN required THEN ' not null' ELSE '' END, ' = ' || nullif(standard, '')), '; ' ORDER BY format('%s.%s %s%s%s', name, col, type, CASE WHEN required THEN ' not null' ELSE '' END, ' = ' || nullif(standard, '')))
    INTO wrong
    FROM (TABLE wanted EXCEPT TABLE found) AS missing;
    ASSERT wrong IS NULL, format('columns missing or different: %s', wrong);
END
$$;

-- step: indexes are there, and valid
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH wanted (name, index_name, is_unique, definition) AS (
        VALUES
            ('customer_analytics',    'customer_analytics_customer_id_key',          true,  'btree (customer_id)'),
            ('customer_analytics',    'idx_customer_analytics_org_value',            false, 'btree (org_id, order_value DESC)'),
            ('sales_performance',     'sales_performance_org_id_month_key',          true,  'btree (org_id, month)'),
            ('financial_overview',    'financial_overview_org_id_month_key',         true,  'btree (org_id, month)'),
            ('inventory_performance', 'idx_inventory_performance_org_status',        false, 'btree (org_id, stock_status)'),
            ('inventory_performance', 'inventory_performance_inventory_item_id_key', true,  'btree (inventory_item_id)')
    ),
    found AS (
        SELECT indrelid::regclass::text, indexrelid::regclass::text, indisunique, substring(pg_get_indexdef(indexrelid) FROM ' USING (.*)')
        FROM pg_index
        WHERE indisvalid AND indisready
    )
    SELECT string_agg(format('%s on %s', index_name, name), '; ' ORDER BY format('%s on %s', index_name, name))
    INTO wrong
    FROM (TABLE wanted EXCEPT TABLE found) AS missing;
    ASSERT wrong IS NULL, format('indexes missing, invalid or different: %s', wrong);
END
$$;

-- step: rights are as narrow as they should be, and as wide as the application needs
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH wanted (name, role, privileges) AS (
        VALUES
            ('customer_analytics',              'service_role',  'SELECT'),
            ('sales_performance',               'service_role',  'SELECT'),
            ('financial_overview',              'service_role',  'SELECT'),
            ('inventory_performance',           'service_role',  'SELECT'),
            ('customer_analytics_of_tenant',    'authenticated', 'SELECT'),
            ('customer_analytics_of_tenant',    'service_role',  'SELECT'),
            ('sales_performance_of_tenant',     'authenticated', 'SELECT'),
            ('sales_performance_of_tenant',     'service_role',  'SELECT'),
            ('financial_overview_of_tenant',    'authenticated', 'SELECT'),
            ('financial_overview_of_tenant',    'service_role',  'SELECT'),
            ('inventory_performance_of_tenant', 'authenticated', 'SELECT'),
            ('inventory_performance_of_tenant', 'service_role',  'SELECT')
    ),
    found (name, role, privileges) AS (
        SELECT name, role, string_agg(privilege, ' ' ORDER BY place)
        FROM unnest(ARRAY['customer_analytics', 'sales_performance', 'financial_overview', 'inventory_performance', 'customer_analytics_of_tenant', 'sales_performance_of_tenant', 'financial_overview_of_tenant', 'inventory_performance_of_tenant']) AS name,
            unnest(ARRAY['anon', 'authenticated', 'service_role']) AS role,
            unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) WITH ORDINALITY AS of (privilege, place)
        WHERE has_table_privilege(role, to_regclass(name), privilege)
        GROUP BY name, role
    )
    SELECT string_agg(format('%s on %s: %s', role, name, coalesce(found.privileges, 'none')), '; ' ORDER BY name, role)
    INTO wrong
    FROM wanted
    FULL JOIN found USING (name, role)
    WHERE wanted.privileges IS DISTINCT FROM found.privileges;
    ASSERT wrong IS NULL, format('rights differ: %s', wrong);
END
$$;

-- step: functions run as whom they should, with a pinned search_path
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH wanted (name, definer, volatility, result, settings) AS (
        VALUES
            ('refresh_analytics()', true, 'v', 'void', '{"search_path=public, pg_temp"}')
    ),
    found AS (
        SELECT oid::regprocedure::text, prosecdef, provolatile::text, prorettype::regtype::text, proconfig::text
        FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace
    )
    SELECT string_agg(name, '; ' ORDER BY name)
    INTO wrong
    FROM (TABLE wanted EXCEPT TABLE found) AS missing;
    ASSERT wrong IS NULL, format('functions missing or different: %s', wrong);
END
$$;

-- step: functions are for whom they should be
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH wanted (name, role) AS (
        VALUES
            ('refresh_analytics()', 'service_role')
    ),
    -- What a platform grants service_role by default is its own.
    found (name, role) AS (
        SELECT oid::regprocedure::text, role
        FROM pg_proc, unnest(ARRAY['anon', 'authenticated', 'service_role']) AS role
        WHERE pronamespace = 'public'::regnamespace
          AND proname = ANY (ARRAY['refresh_analytics'])
          AND has_function_privilege(role, oid, 'EXECUTE')
    )
    SELECT string_agg(format('%s %s', role, name), '; ' ORDER BY name, role)
    INTO wrong
    FROM wanted
    FULL JOIN found USING (name, role)
    WHERE wanted.name IS NULL AND role <> 'service_role' OR found.name IS NULL;
    ASSERT wrong IS NULL, format('functions too open or too closed: %s', wrong);
END
$$;

-- step: personal data and money are commented as such
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH wanted (name, col, class) AS (
        VALUES
            ('customer_analytics',           'customer_name',       'personal data: identity'),
            ('customer_analytics',           'order_value',         'money'),
            ('customer_analytics',           'invoiced',            'money'),
            ('customer_analytics',           'paid',                'money'),
            ('customer_analytics',           'due',                 'money'),
            ('customer_analytics',           'last_interaction_at', 'personal data: behaviour'),
            ('customer_analytics',           'average_sentiment',   'personal data: behaviour'),
            ('customer_analytics',           'amounts_by_currency', 'money'),
            ('sales_performance',            'order_value',         'money'),
            ('sales_performance',            'cancelled_value',     'money'),
            ('sales_performance',            'quote_value',         'money'),
            ('sales_performance',            'won_value',           'money'),
            ('sales_performance',            'average_order_value', 'money'),
            ('sales_performance',            'amounts_by_currency', 'money'),
            ('financial_overview',           'invoiced',            'money'),
            ('financial_overview',           'tax',                 'money'),
            ('financial_overview',           'cancelled',           'money'),
            ('financial_overview',           'due',                 'money'),
            ('financial_overview',           'paid',                'money'),
            ('financial_overview',           'received',            'money'),
            ('financial_overview',           'refunded',            'money'),
            ('financial_overview',           'purchased',           'money'),
            ('financial_overview',           'amounts_by_currency', 'money'),
            ('inventory_performance',        'revenue',             'money'),
            ('inventory_performance',        'amounts_by_currency', 'money'),
            ('inventory_performance',        'stock_value',         'money'),
            ('customer_analytics_of_tenant', 'customer_name',       'personal data: identity'),
            ('customer_analytics_of_tenant', 'last_interaction_at', 'personal data: behaviour'),
            ('customer_analytics_of_tenant', 'average_sentiment',   'personal data: behaviour')
    ),
    found AS (
        SELECT attrelid::regclass::text, attname::text, substring(col_description(attrelid, attnum) FROM '^(personal data: [a-z ]+|money):')
        FROM pg_attribute
        WHERE attnum > 0 AND NOT attisdropped AND col_description(attrelid, attnum) IS NOT NULL
    )
    SELECT string_agg(format('%s.%s', name, col), '; ' ORDER BY format('%s.%s', name, col))
    INTO wrong
    FROM (TABLE wanted EXCEPT TABLE found) AS missing;
    ASSERT wrong IS NULL, format('columns not commented as personal data or money: %s', wrong);
END
$$;

-- step: every table has a comment
SELECT name AS without_comment
FROM unnest(ARRAY['customer_analytics', 'sales_performance', 'financial_overview', 'inventory_performance', 'customer_analytics_of_tenant', 'sales_performance_of_tenant', 'financial_overview_of_tenant', 'inventory_performance_of_tenant']) AS name
WHERE obj_description(to_regclass(name), 'pg_class') IS NULL;

-- step: they are filled, and can be refreshed concurrently
SELECT relname AS materialized_view, CASE WHEN relispopulated THEN 'no unique index that CONCURRENTLY could use' ELSE 'not filled' END AS found
FROM pg_class
WHERE relkind = 'm'
  AND relname IN ('customer_analytics', 'sales_performance', 'financial_overview', 'inventory_performance')
  AND NOT (
      relispopulated
      AND EXISTS (SELECT FROM pg_index WHERE indrelid = pg_class.oid AND indisunique AND indisvalid AND indpred IS NULL AND indexprs IS NULL)
  );

-- step: users reach them by way of barriers that ask for the organisation
SELECT name AS view, 'no security barrier over the organisation of the user' AS found
FROM unnest(ARRAY['customer_analytics', 'sales_performance', 'financial_overview', 'inventory_performance']) AS name
WHERE NOT EXISTS (
    SELECT
    FROM pg_class
    WHERE oid = to_regclass(name || '_of_tenant')
      AND reloptions @> '{security_barrier=true}'
      AND pg_get_viewdef(oid) ~ format('FROM %s\s+WHERE .*org_id = \( SELECT tenant_org_id\(\)', name)
);

-- step: their sums are sums over one table
DO $$
DECLARE
    compared  record;
    wrong     text;
BEGIN
    FOR compared IN
        SELECT *
        FROM (VALUES
            ('customer_analytics', 'sum(orders)', 'SELECT count(*) FROM sales_order'),
            ('customer_analytics', 'sum(order_value)', 'SELECT sum(total_amount) FROM sales_order'),
            ('customer_analytics', 'sum(invoices)', 'SELECT count(*) FROM invoice'),
            ('customer_analytics', 'sum(invoiced)', 'SELECT sum(total_amount) FROM invoice'),
            ('customer_analytics', 'sum(paid)', 'SELECT sum(amount_paid) FROM invoice'),
            ('customer_analytics', 'sum(due)', 'SELECT sum(amount_due) FROM invoice'),
            ('customer_analytics', 'sum(tickets)', 'SELECT count(*) FROM support_ticket'),
            ('customer_analytics', 'sum(interactions)', 'SELECT count(*) FROM customer_interaction'),
            ('customer_analytics', 'count(*)', 'SELECT count(*) FROM customer'),
            ('sales_performance', 'sum(orders)', 'SELECT count(*) FROM sales_order'),
            ('sales_performance', 'sum(order_value)', 'SELECT sum(total_amount) FROM sales_order'),
            ('sales_performance', 'sum(quotes)', 'SELECT count(*) FROM sales_quote'),
            ('sales_performance', 'sum(quote_value)', 'SELECT sum(total_amount) FROM sales_quote'),
            ('sales_performance', 'sum(leads)', 'SELECT count(*) FROM lead'),
            ('sales_performance', 'sum(won_value)', 'SELECT sum(amount) FROM opportunity WHERE is_won'),
            ('financial_overview', 'sum(invoices)', 'SELECT count(*) FROM invoice'),
            ('financial_overview', 'sum(invoiced)', 'SELECT sum(total_amount) FROM invoice'),
            ('financial_overview', 'sum(due)', 'SELECT sum(amount_due) FROM invoice'),
            ('financial_overview', 'sum(payments)', 'SELECT count(*) FROM payment'),
            ('financial_overview', 'sum(received)', 'SELECT sum(amount) FROM payment WHERE status = ''completed'''),
            ('financial_overview', 'sum(purchases)', 'SELECT count(*) FROM purchase_order'),
            ('financial_overview', 'sum(purchased)', 'SELECT sum(total_amount) FROM purchase_order'),
            ('inventory_performance', 'sum(revenue)', 'SELECT sum(line_total) FROM sales_order_item JOIN product ON product.id = product_id WHERE inventory_item_id IS NOT NULL'),
            ('inventory_performance', 'sum(sold)', 'SELECT sum(quantity) FROM sales_order_item JOIN product ON product.id = product_id WHERE inventory_item_id IS NOT NULL'),
            ('inventory_performance', 'sum(stock_value)', 'SELECT sum(unit_price * quantity_on_hand) FROM inventory_item'),
            ('inventory_performance', 'count(*)', 'SELECT count(*) FROM inventory_item')
        ) AS figures (name, figure, plain)
    LOOP
        EXECUTE format(
            'SELECT format(''%%s is %%s, taken over one table %%s'', %L, seen, plain)'
            ' FROM (SELECT coalesce((SELECT %s FROM (%s) AS made), 0) AS seen, coalesce((%s), 0) AS plain) AS figures'
            ' WHERE seen <> plain',
            compared.figure || ' of ' || compared.name,
            compared.figure,
            rtrim(pg_get_viewdef(compared.name::regclass), '; '),
            compared.plain
        )
        INTO wrong;
        ASSERT wrong IS NULL, wrong;
    END LOOP;
END
$$;

-- step: nobody sees nothing
DO $$
BEGIN
    PERFORM set_config('request.jwt.claim.sub', '', true), set_config('app.current_user_id', '', true);
    ASSERT NOT EXISTS (SELECT FROM customer_analytics_of_tenant), 'a session that names no user sees customer_analytics_of_tenant';
    ASSERT NOT EXISTS (SELECT FROM sales_performance_of_tenant), 'a session that names no user sees sales_performance_of_tenant';
    ASSERT NOT EXISTS (SELECT FROM financial_overview_of_tenant), 'a session that names no user sees financial_overview_of_tenant';
    ASSERT NOT EXISTS (SELECT FROM inventory_performance_of_tenant), 'a session that names no user sees inventory_performance_of_tenant';
END
$$;
