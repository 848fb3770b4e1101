-- Integration test: from lead to customer, quote and order (migration 002), as a user of an organisation of its own.
-- It deletes the organisation at the end, as the strategy's test does, and sees that nothing of it is left; then all of it
-- is rolled back, so that audit_log keeps no trace of a company that never was.
-- Requires: 002, a role that may write to the platform's user table and act as authenticated. Locks nothing that is in use.

-- step: a lead becomes a customer, a quote and an order, as a user would do it
DO $$
DECLARE
    test_org_id          uuid;
    test_user_id         uuid := gen_random_uuid();
    test_customer_id     uuid;
    test_contact_id      uuid;
    test_lead_id         uuid;
    test_opportunity_id  uuid;
    test_product_id      uuid;
    test_price           numeric;
    test_quote_id        uuid;
    test_order_id        uuid;
    tried                text;
    own_role             text := current_setting('role');
    left_over            bigint;
BEGIN
    BEGIN
        -- An organisation with one user, wherever the platform keeps users.
        INSERT INTO organization (name, slug, settings)
        VALUES ('Test Org', 'test-org-' || gen_random_uuid(), '{"currency": "EUR"}')
        RETURNING id INTO test_org_id;
        EXECUTE format('INSERT INTO %s (id) VALUES ($1)', coalesce(to_regclass('auth.users'), to_regclass('auth.users_extended')))
        USING test_user_id;
        INSERT INTO profile (id, org_id, role, display_name) VALUES (test_user_id, test_org_id, 'admin', 'Test User');
        -- Where the platform's table says itself where a user belongs, it has to say so of these as well.
        IF EXISTS (
            SELECT FROM pg_attribute
            WHERE attrelid = to_regclass('auth.users_extended') AND attname = 'org_id' AND NOT attisdropped
        ) THEN
            EXECUTE 'UPDATE auth.users_extended AS u SET org_id = p.org_id FROM profile AS p WHERE p.id = u.id AND p.created_at = now()';
        END IF;

        PERFORM pg_temp.act_as(test_user_id, test_org_id);
        ASSERT (SELECT count(*) = 1 FROM organization), 'a user should see one organisation: the own';

        -- A lead, worked on, then converted
        INSERT INTO lead (org_id, first_name, last_name, company, email, source, estimated_value, assigned_to)
        VALUES (test_org_id, 'Ada', 'Byron', 'Analytical Engines Ltd', 'ada@engines.example', 'fair', 12000, test_user_id)
        RETURNING id INTO test_lead_id;
        INSERT INTO crm_activity (org_id, type, subject, lead_id, created_by, assigned_to)
        VALUES (test_org_id, 'call', 'First call', test_lead_id, test_user_id, test_user_id);
        UPDATE lead SET status = 'qualified', score = 80 WHERE id = test_lead_id;

        SELECT customer_id, contact_id, opportunity_id
        INTO test_customer_id, test_contact_id, test_opportunity_id
        FROM convert_lead(test_lead_id, opportunity_name => 'Engine no. 1');

        ASSERT (
            SELECT (status, converted_to_customer_id) = ('won'::lead_status, test_customer_id) AND converted_at IS NOT NULL
            FROM lead
            WHERE id = test_lead_id
        ), 'the lead should be won, and know its customer';
        ASSERT (
            SELECT (org_id, name, email, status) = (test_org_id, 'Analytical Engines Ltd', 'ada@engines.example', 'active'::customer_status)
            FROM customer
            WHERE id = test_customer_id
        ), 'the customer should be what the lead was';
        ASSERT (
            SELECT (customer_id, first_name, last_name, is_primary) = (test_customer_id, 'Ada', 'Byron', true)
            FROM customer_contact
            WHERE id = test_contact_id
        ), 'the person should be the customer''s primary contact';
        ASSERT (
            SELECT (customer_id, lead_id, name, amount, currency)
                = (test_customer_id, test_lead_id, 'Engine no. 1', 12000.00, 'EUR'::currency_code)
            FROM opportunity
            WHERE id = test_opportunity_id
        ), 'the opportunity should hold the lead''s estimate, in the organisation''s currency';

        tried := 'converted twice';
        BEGIN
            PERFORM convert_lead(test_lead_id);
        EXCEPTION
            WHEN object_not_in_prerequisite_state THEN tried := 'refused';
        END;
        ASSERT tried = 'refused', 'a lead should be converted once: ' || tried;

        -- A product with a list price, quoted
        INSERT INTO product (org_id, name, sku, base_price) VALUES (test_org_id, 'Mill', 'MILL-1', 5000) RETURNING id INTO test_product_id;
        WITH list AS (
            INSERT INTO price_list (org_id, name, is_default) VALUES (test_org_id, 'List', true) RETURNING id
        )
        INSERT INTO product_price (product_id, price_list_id, unit_price)
        SELECT test_product_id, id, 4900.50 FROM list
        RETURNING unit_price INTO test_price;

        INSERT INTO sales_quote (org_id, customer_id, opportunity_id, title, shipping_amount, valid_until, created_by)
        VALUES (test_org_id, test_customer_id, test_opportunity_id, 'Two mills', 100, current_date + 30, test_user_id)
        RETURNING id INTO test_quote_id;
        INSERT INTO sales_quote_item (quote_id, product_id, quantity, unit_price, discount_percentage, tax_rate)
        VALUES (test_quote_id, test_product_id, 2, test_price, 10, 19);
        ASSERT (
            SELECT (subtotal, tax_amount, total_amount, currency) = (8820.90, 1675.97, 10596.87, 'EUR'::currency_code)
            FROM sales_quote
            WHERE id = test_quote_id
        ), 'the quote should add up';

        -- Accepted, ordered
        PERFORM accept_quote(test_quote_id);
        ASSERT (SELECT (status, approved_by) = ('confirmed'::sales_order_status, test_user_id) FROM sales_quote WHERE id = test_quote_id),
            'the quote should be confirmed by the user';
        test_order_id := convert_quote_to_order(test_quote_id);
        ASSERT (
            SELECT (ordered.customer_id, ordered.subtotal, ordered.tax_amount, ordered.shipping_amount, ordered.total_amount, ordered.currency)
                = (quote.customer_id, quote.subtotal, quote.tax_amount, quote.shipping_amount, quote.total_amount, quote.currency)
                AND ordered.order_number ~ '^SO-\d{4}-\d{6,}$'
                AND quote.converted_to_order_id = ordered.id
            FROM sales_order AS ordered
            JOIN sales_quote AS quote ON quote.id = ordered.quote_id
            WHERE ordered.id = test_order_id
        ), 'the order should be what was quoted';
        ASSERT (SELECT (stage, is_won) = ('won'::opportunity_stage, true) FROM opportunity WHERE id = test_opportunity_id),
            'the opportunity should be won';

        tried := 'ordered twice';
        BEGIN
            PERFORM convert_quote_to_order(test_quote_id);
        EXCEPTION
            WHEN object_not_in_prerequisite_state THEN tried := 'refused';
        END;
        ASSERT tried = 'refused', 'a quote should become one order: ' || tried;

        -- Delivered, and a line taken back
        UPDATE sales_order_item SET quantity_shipped = quantity WHERE order_id = test_order_id;
        UPDATE sales_order SET status = 'delivered', actual_delivery_date = current_date WHERE id = test_order_id;
        ASSERT (SELECT total_amount = 10596.87 FROM sales_order WHERE id = test_order_id), 'a delivery should cost nothing';
        DELETE FROM sales_order_item WHERE order_id = test_order_id;
        ASSERT (SELECT (subtotal, total_amount) = (0.00, 100.00) FROM sales_order WHERE id = test_order_id),
            'an order without lines should cost its shipping';

        -- What the audit trail says
        PERFORM set_config('role', own_role, true);
        ASSERT (
            SELECT count(DISTINCT table_name) = 9 AND bool_and(user_id = test_user_id)
            FROM audit_log
            WHERE org_id = test_org_id
              AND table_name IN (
                  'lead', 'crm_activity', 'customer_contact', 'opportunity', 'product', 'price_list', 'sales_quote', 'sales_order',
                  'sales_order_item'
              )
        ), 'the audit trail should tell who did all this';

        -- Cleanup
        DELETE FROM organization WHERE id = test_org_id;
        SET CONSTRAINTS ALL IMMEDIATE;
        SELECT sum(remaining)
        INTO left_over
        FROM (
            SELECT count(*) FROM customer WHERE org_id = test_org_id
            UNION ALL SELECT count(*) FROM customer_contact WHERE id = test_contact_id
            UNION ALL SELECT count(*) FROM lead WHERE org_id = test_org_id
            UNION ALL SELECT count(*) FROM opportunity WHERE org_id = test_org_id
            UNION ALL SELECT count(*) FROM crm_activity WHERE org_id = test_org_id
            UNION ALL SELECT count(*) FROM product WHERE org_id = test_org_id
            UNION ALL SELECT count(*) FROM price_list WHERE org_id = test_org_id
            UNION ALL SELECT count(*) FROM product_price WHERE product_id = test_product_id
            UNION ALL SELECT count(*) FROM sales_quote WHERE org_id = test_org_id
            UNION ALL SELECT count(*) FROM sales_quote_item WHERE quote_id = test_quote_id
            UNION ALL SELECT count(*) FROM sales_order WHERE org_id = test_org_id
            UNION ALL SELECT count(*) FROM document_number WHERE org_id = test_org_id
            UNION ALL SELECT count(*) FROM profile WHERE id = test_user_id
        ) AS tables (remaining);
        ASSERT left_over = 0, format('%s rows outlived their organisation', left_over);

        RAISE EXCEPTION 'the test is over' USING ERRCODE = 'MR002';
    EXCEPTION
        WHEN SQLSTATE 'MR002' THEN
            NULL;
    END;
END
$$;
