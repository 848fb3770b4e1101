-- Integration test: what a company sells is in its analytics after a refresh, and in nobody else's (migration 008), as users
-- of organisations of its own. All of it is rolled back, the refresh too.
-- Requires: 008, a role that may write to the platform's user table, act as authenticated and refresh. Locks the four
-- materialized views for as long as a refresh takes: readers read on, another refresh waits.

-- step: a sale is told by the analytics of its organisation, and by no other's
DO $$
DECLARE
    stock_value       text := '50.00';
    test_org_id       uuid;
    other_org_id      uuid;
    test_user_id      uuid := gen_random_uuid();
    stranger          uuid := gen_random_uuid();
    test_customer_id  uuid;
    test_item_id      uuid;
    test_product_id   uuid;
    test_order_id     uuid;
    test_invoice_id   uuid;
    found             text;
    tried             text;
    one               record;
    own_role          text := current_setting('role');
BEGIN
    BEGIN
        -- Two organisations with a user each, wherever the platform keeps users; the other one has a customer of its own
        INSERT INTO organization (name, slug, settings)
        VALUES ('Test Org', 'test-org-' || gen_random_uuid(), '{"currency": "EUR"}')
        RETURNING id INTO test_org_id;
        INSERT INTO organization (name, slug) VALUES ('Other Org', 'test-org-' || gen_random_uuid()) RETURNING id INTO other_org_id;
        EXECUTE format('INSERT INTO %s (id) VALUES ($1), ($2)', coalesce(to_regclass('auth.users'), to_regclass('auth.users_extended')))
        USING test_user_id, stranger;
        INSERT INTO profile (id, org_id, role, display_name) VALUES
            (test_user_id, test_org_id, 'admin', 'Test User'),
            (stranger, other_org_id, 'admin', 'Stranger');
        -- Where the platform's table says itself where a user belongs, it has to say so of these as well.
        IF EXISTS (
            SELECT FROM pg_attribute
            WHERE attrelid = to_regclass('auth.users_extended') AND attname = 'org_id' AND NOT attisdropped
        ) THEN
            EXECUTE 'UPDATE auth.users_extended AS u SET org_id = p.org_id FROM profile AS p WHERE p.id = u.id AND p.created_at = now()';
        END IF;
        INSERT INTO customer (org_id, name) VALUES (other_org_id, 'Of the other');

        PERFORM pg_temp.act_as(test_user_id, test_org_id);

        -- An item in stock, sold, invoiced and paid in part
        INSERT INTO customer (org_id, name) VALUES (test_org_id, 'Analytical Engines Ltd') RETURNING id INTO test_customer_id;
        INSERT INTO inventory_item (org_id, sku, name, category, unit_price, quantity_on_hand, reorder_point)
        VALUES (test_org_id, 'SAW-1', 'Saw', (enum_range(NULL::inventory_category))[1], 10, 5, 3)
        RETURNING id INTO test_item_id;
        IF EXISTS (
            SELECT FROM pg_attribute
            WHERE attrelid = 'inventory_item'::regclass AND attname = 'quantity_reserved' AND NOT attisdropped
        ) THEN
            EXECUTE 'UPDATE inventory_item SET quantity_reserved = 2 WHERE id = $1' USING test_item_id;
        ELSE  -- as many are left
            UPDATE inventory_item SET quantity_on_hand = 3 WHERE id = test_item_id;
            stock_value := '30.00';
        END IF;
        INSERT INTO product (org_id, inventory_item_id, name, sku, base_price)
        VALUES (test_org_id, test_item_id, 'Saw', 'SAW-1', 12)
        RETURNING id INTO test_product_id;
        INSERT INTO sales_order (org_id, customer_id, created_by)
        VALUES (test_org_id, test_customer_id, test_user_id)
        RETURNING id INTO test_order_id;
        INSERT INTO sales_order_item (order_id, product_id, quantity, unit_price, tax_rate) VALUES
            (test_order_id, test_product_id, 2, 12, 0),
            (test_order_id, test_product_id, 1, 12, 50);
        INSERT INTO invoice (org_id, customer_id, sales_order_id, due_date)
        VALUES (test_org_id, test_customer_id, test_order_id, CURRENT_DATE + 30)
        RETURNING id INTO test_invoice_id;
        INSERT INTO invoice_item (invoice_id, product_id, description, quantity, unit_price, tax_rate)
        SELECT test_invoice_id, product_id, 'Saw', quantity, unit_price, tax_rate FROM sales_order_item WHERE order_id = test_order_id;
        INSERT INTO payment (org_id, customer_id, invoice_id, amount, payment_method, status)
        VALUES (test_org_id, test_customer_id, test_invoice_id, 30, 'cash', 'completed');
        ASSERT NOT EXISTS (SELECT FROM customer_analytics_of_tenant), 'analytics should know nothing before they are refreshed';

        -- Brought up to date, which is not for users to do
        BEGIN
            PERFORM refresh_analytics();
            tried := 'possible';
        EXCEPTION
            WHEN insufficient_privilege THEN tried := 'refused';
        END;
        ASSERT tried = 'refused', 'a refresh by a user should be refused, it was ' || tried;
        PERFORM set_config('role', own_role, true);
        PERFORM refresh_analytics();
        PERFORM pg_temp.act_as(test_user_id, test_org_id);

        -- Each view tells the sale, of the own organisation alone; figures of several months are added up
        FOR one IN
            SELECT * FROM (VALUES
                ('customer_analytics', 'string_agg(format(''%s %s %s %s %s %s %s %s'', customer_name, orders, order_value, invoices, invoiced, paid, due, currencies), ''; '')',
                 'Analytical Engines Ltd 1 42.00 1 42.00 30.00 12.00 {EUR}'),
                ('sales_performance', 'format(''%s %s %s %s'', sum(orders), sum(order_value), sum(customers), sum(cancelled_orders))', '1 42.00 1 0'),
                ('financial_overview', 'format(''%s %s %s %s %s %s'', sum(invoices), sum(invoiced), sum(tax), sum(payments), sum(received), sum(due))',
                 '1 42.00 6.00 1 30.00 12.00'),
                ('inventory_performance', 'string_agg(format(''%s %s %s %s %s %s %s %s'', sku, orders, sold, revenue, quantity_available, stock_status, stock_value, stock_currency), ''; '')',
                 format('SAW-1 1 3.000 36.00 3 low_stock %s EUR', stock_value))
            ) AS views (name, figures, expected)
        LOOP
            EXECUTE format('SELECT %s FROM %I', one.figures, one.name || '_of_tenant') INTO found;
            ASSERT found = one.expected,
                format('%s should tell %s, and told %s', one.name, one.expected, found);
            BEGIN
                EXECUTE format('SELECT FROM %I', one.name);
                tried := 'possible';
            EXCEPTION
                WHEN insufficient_privilege THEN tried := 'refused';
            END;
            ASSERT tried = 'refused', format('reading %s, which is of every organisation, should be refused, it was %s', one.name, tried);
        END LOOP;

        -- Another organisation reads its own, and nobody reads nothing
        PERFORM pg_temp.act_as(stranger, other_org_id);
        ASSERT (SELECT array_agg(customer_name) = '{Of the other}' FROM customer_analytics_of_tenant),
            'another organisation should see its own customer alone';
        FOR one IN
            SELECT name, reader
            FROM unnest(ARRAY['sales_performance', 'financial_overview', 'inventory_performance', 'customer_analytics']) AS name,
                unnest(ARRAY[stranger, NULL]) AS reader
            WHERE name <> 'customer_analytics' OR reader IS NULL
        LOOP
            PERFORM pg_temp.act_as(one.reader, other_org_id);
            EXECUTE format('SELECT count(*) FROM %I', one.name || '_of_tenant') INTO found;
            ASSERT found = '0', format('%s rows of %s are seen by who has none', found, one.name);
        END LOOP;
        PERFORM set_config('role', own_role, true);

        RAISE EXCEPTION 'the test is over' USING ERRCODE = 'MR008';
    EXCEPTION
        WHEN SQLSTATE 'MR008' THEN
            NULL;
    END;
END
$$;
