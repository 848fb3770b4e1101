-- Unit tests of migration 002: each rule refuses what it should, each trigger keeps what it should.
-- Every test works in a subtransaction that it ends with an error of its own: nothing stays, whoever runs this.
-- Where a test needs a user, it takes one who is there, for users are the platform's to make; without any it says so.
-- Requires: 002. Locks the number row of one organisation for some milliseconds.

-- step: the tables and enums of phase 2 are there
DO $$
BEGIN
    ASSERT (
        SELECT count(*)
        FROM information_schema.tables
        WHERE table_schema = 'public'
          AND table_name IN (
              'customer_contact', 'lead', 'opportunity', 'crm_activity', 'product', 'price_list', 'product_price', 'sales_quote',
              'sales_quote_item', 'sales_order', 'sales_order_item', 'supplier_performance', 'quality_control'
          )
    ) = 13, 'the 13 tables of phase 2 should exist';

    ASSERT (SELECT count(*) FROM pg_type WHERE typname IN ('lead_status', 'opportunity_stage', 'activity_type', 'qc_status', 'sales_order_status')) = 5,
        'their enums should exist';
END
$$;

-- step: rules refuse what they should
DO $$
DECLARE
    writer   record;
    given    record;
    attempt  record;
    broken   text;
BEGIN
    SELECT id, org_id INTO writer FROM profile ORDER BY id LIMIT 1;
    IF NOT FOUND THEN
        RAISE NOTICE 'not applicable here: there is no user: rules were not tried';
        RETURN;
    END IF;

    BEGIN
        WITH new_customer AS (
            INSERT INTO customer (org_id, name) VALUES (writer.org_id, 'Unit') RETURNING id
        ), new_product AS (
            INSERT INTO product (org_id, name, sku, base_price) VALUES (writer.org_id, 'Unit', 'unit-002', 1) RETURNING id
        ), new_supplier AS (
            INSERT INTO supplier (org_id, name) VALUES (writer.org_id, 'Unit') RETURNING id
        ), new_item AS (
            INSERT INTO inventory_item (org_id, sku, name, category) VALUES (writer.org_id, 'unit-002', 'Unit', (enum_range(NULL::inventory_category))[1]) RETURNING id
        ), new_list AS (
            INSERT INTO price_list (org_id, name, currency) VALUES (writer.org_id, 'Unit', 'EUR') RETURNING id
        ), new_quote AS (
            INSERT INTO sales_quote (org_id, customer_id, title, currency, created_by)
            SELECT writer.org_id, id, 'Unit', 'EUR', writer.id FROM new_customer
            RETURNING id
        ), new_order AS (
            INSERT INTO sales_order (org_id, customer_id, currency, created_by)
            SELECT writer.org_id, id, 'EUR', writer.id FROM new_customer
            RETURNING id
        )
        SELECT
            writer.org_id AS org, writer.id AS usr, new_customer.id AS customer, new_product.id AS product,
            new_supplier.id AS supplier, new_item.id AS item, new_list.id AS list, new_quote.id AS quote, new_order.id AS ord
        INTO given
        FROM new_customer, new_product, new_supplier, new_item, new_list, new_quote, new_order;

        FOR attempt IN
            -- $1 organisation, $2 user, $3 customer, $4 product, $5 supplier, $6 inventory item, $7 price list, $8 quote, $9 order
            SELECT * FROM (VALUES
                ('contact_name_length', 'INSERT INTO customer_contact (customer_id, first_name, last_name) VALUES ($3, '''', ''Byron'')'),
                ('contact_email_format', 'INSERT INTO customer_contact (customer_id, first_name, last_name, email) VALUES ($3, ''A'', ''B'', ''a b@c.d'')'),
                ('idx_customer_contact_primary', 'INSERT INTO customer_contact (customer_id, first_name, last_name, is_primary) VALUES ($3, ''A'', ''B'', true), ($3, ''C'', ''D'', true)'),
                ('lead_name_length', 'INSERT INTO lead (org_id, first_name, last_name) VALUES ($1, ''A'', repeat(''B'', 101))'),
                ('lead_email_format', 'INSERT INTO lead (org_id, first_name, last_name, email) VALUES ($1, ''A'', ''B'', ''nobody'')'),
                ('lead_score_is_a_percentage', 'INSERT INTO lead (org_id, first_name, last_name, score) VALUES ($1, ''A'', ''B'', 101)'),
                ('lead_estimated_value_not_negative', 'INSERT INTO lead (org_id, first_name, last_name, estimated_value) VALUES ($1, ''A'', ''B'', -1)'),
                ('lead_conversion_has_a_time', 'INSERT INTO lead (org_id, first_name, last_name, converted_to_customer_id) VALUES ($1, ''A'', ''B'', $3)'),
                ('opportunity_amount_not_negative', 'INSERT INTO opportunity (org_id, name, amount, currency) VALUES ($1, ''A'', -0.01, ''EUR'')'),
                ('opportunity_probability_is_a_percentage', 'INSERT INTO opportunity (org_id, name, amount, currency, probability) VALUES ($1, ''A'', 1, ''EUR'', -1)'),
                ('opportunity_won_is_in_stage_won', 'INSERT INTO opportunity (org_id, name, amount, currency, is_won) VALUES ($1, ''A'', 1, ''EUR'', true)'),
                ('crm_activity_subject_length', 'INSERT INTO crm_activity (org_id, type, subject, created_by) VALUES ($1, ''call'', '''', $2)'),
                ('crm_activity_duration_positive', 'INSERT INTO crm_activity (org_id, type, subject, created_by, duration_minutes) VALUES ($1, ''call'', ''A'', $2, 0)'),
                ('crm_activity_priority_between_1_and_5', 'INSERT INTO crm_activity (org_id, type, subject, created_by, priority) VALUES ($1, ''call'', ''A'', $2, 6)'),
                ('product_sku_is_unique_in_organization', 'INSERT INTO product (org_id, name, sku, base_price) VALUES ($1, ''Other'', ''unit-002'', 1)'),
                ('product_base_price_not_negative', 'INSERT INTO product (org_id, name, sku, base_price) VALUES ($1, ''Other'', ''other'', -1)'),
                ('product_maximum_quantity_not_below_minimum', 'INSERT INTO product (org_id, name, sku, base_price, minimum_quantity, maximum_quantity) VALUES ($1, ''Other'', ''other'', 1, 5, 4)'),
                ('idx_price_list_default', 'INSERT INTO price_list (org_id, name, currency, is_default) VALUES ($1, ''A'', ''EUR'', true), ($1, ''B'', ''EUR'', true)'),
                ('price_list_ends_after_it_begins', 'INSERT INTO price_list (org_id, name, currency, valid_from, valid_to) VALUES ($1, ''A'', ''EUR'', ''2025-02-01'', ''2025-01-31'')'),
                ('idx_product_price_one_per_quantity', 'INSERT INTO product_price (product_id, price_list_id, unit_price, minimum_quantity) VALUES ($4, $7, 1, 1), ($4, $7, 2, NULL)'),
                ('product_price_discount_is_a_percentage', 'INSERT INTO product_price (product_id, price_list_id, unit_price, discount_percentage) VALUES ($4, $7, 1, 100.01)'),
                ('sales_quote_amounts_not_negative', 'UPDATE sales_quote SET shipping_amount = -1 WHERE id = $8'),
                ('sales_quote_approval_has_person_and_time', 'UPDATE sales_quote SET approved_at = now() WHERE id = $8'),
                ('sales_quote_item_quantity_positive', 'INSERT INTO sales_quote_item (quote_id, product_id, quantity, unit_price) VALUES ($8, $4, 0, 1)'),
                ('sales_quote_item_tax_rate_is_a_percentage', 'INSERT INTO sales_quote_item (quote_id, product_id, quantity, unit_price, tax_rate) VALUES ($8, $4, 1, 1, -1)'),
                ('sales_order_total_not_negative', 'WITH line AS (INSERT INTO sales_order_item (order_id, product_id, quantity, unit_price) VALUES ($9, $4, 1, 1)) UPDATE sales_order SET status = ''confirmed'', discount_amount = 2 WHERE id = $9'),
                ('sales_order_delivered_after_ordered', 'UPDATE sales_order SET actual_delivery_date = order_date - 1 WHERE id = $9'),
                ('sales_order_number_is_unique_in_organization', 'INSERT INTO sales_order (org_id, customer_id, currency, created_by, order_number) SELECT $1, $3, ''EUR'', $2, order_number FROM sales_order WHERE id = $9'),
                ('sales_order_one_per_quote', 'INSERT INTO sales_order (org_id, customer_id, currency, created_by, quote_id) SELECT $1, $3, ''EUR'', $2, $8 FROM generate_series(1, 2)'),
                ('sales_order_item_unit_price_not_negative', 'INSERT INTO sales_order_item (order_id, product_id, quantity, unit_price) VALUES ($9, $4, 1, -1)'),
                ('sales_order_item_shipped_was_ordered', 'INSERT INTO sales_order_item (order_id, product_id, quantity, unit_price, quantity_shipped) VALUES ($9, $4, 1, 1, 2)'),
                ('sales_order_item_invoiced_was_ordered', 'INSERT INTO sales_order_item (order_id, product_id, quantity, unit_price, quantity_invoiced) VALUES ($9, $4, 1, 1, 1.001)'),
                ('sales_order_item_discount_is_a_percentage', 'INSERT INTO sales_order_item (order_id, product_id, quantity, unit_price, discount_percentage) VALUES ($9, $4, 1, 1, 101)'),
                ('supplier_performance_period_ends_after_it_begins', 'INSERT INTO supplier_performance (supplier_id, evaluation_period_start, evaluation_period_end) VALUES ($5, ''2025-02-01'', ''2025-01-01'')'),
                ('supplier_performance_scores_are_percentages', 'INSERT INTO supplier_performance (supplier_id, evaluation_period_start, evaluation_period_end, cost_score) VALUES ($5, ''2025-01-01'', ''2025-02-01'', 101)'),
                ('supplier_performance_on_time_were_ordered', 'INSERT INTO supplier_performance (supplier_id, evaluation_period_start, evaluation_period_end, orders_count, on_time_deliveries) VALUES ($5, ''2025-01-01'', ''2025-02-01'', 1, 2)'),
                ('quality_control_quantities_not_negative', 'INSERT INTO quality_control (org_id, inventory_item_id, inspector_id, rework_quantity) VALUES ($1, $6, $2, -1)')
            ) AS attempts (rule, statement)
        LOOP
            broken := 'nothing';
            BEGIN
                -- All nine are named, since a parameter that is not used has no type.
                EXECUTE 'SELECT $1::uuid, $2::uuid, $3::uuid, $4::uuid, $5::uuid, $6::uuid, $7::uuid, $8::uuid, $9::uuid'
                USING given.org, given.usr, given.customer, given.product, given.supplier, given.item, given.list, given.quote, given.ord;
                EXECUTE attempt.statement
                USING given.org, given.usr, given.customer, given.product, given.supplier, given.item, given.list, given.quote, given.ord;
            EXCEPTION
                WHEN integrity_constraint_violation OR check_violation OR unique_violation THEN
                    GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME;
            END;
            ASSERT broken = attempt.rule, format('%s should refuse, and %s did: %s', attempt.rule, broken, attempt.statement);
        END LOOP;

        RAISE EXCEPTION 'the test is over' USING ERRCODE = 'MR002';
    EXCEPTION
        WHEN SQLSTATE 'MR002' THEN
            NULL;
    END;
END
$$;

-- step: totals follow the lines, and nobody else
DO $$
DECLARE
    writer      record;
    product_id  uuid;
    first_id    uuid;
    second_id   uuid;
BEGIN
    SELECT id, org_id INTO writer FROM profile ORDER BY id LIMIT 1;
    IF NOT FOUND THEN
        RAISE NOTICE 'not applicable here: there is no user: totals were not tried';
        RETURN;
    END IF;

    BEGIN
        INSERT INTO product (org_id, name, sku, base_price) VALUES (writer.org_id, 'Unit', 'unit-002', 1) RETURNING id INTO product_id;
        WITH new_customer AS (
            INSERT INTO customer (org_id, name) VALUES (writer.org_id, 'Unit') RETURNING id
        )
        INSERT INTO sales_order (org_id, customer_id, currency, created_by, subtotal, tax_amount, total_amount)
        SELECT writer.org_id, id, 'EUR', writer.id, 111, 222, 333 FROM new_customer
        RETURNING id INTO first_id;
        ASSERT (SELECT (subtotal, tax_amount, total_amount) = (0.00, 0.00, 0.00) FROM sales_order WHERE id = first_id),
            'an order without lines should be worth nothing, whatever the client says';
        INSERT INTO sales_order (org_id, customer_id, currency, created_by)
        SELECT org_id, customer_id, currency, created_by FROM sales_order WHERE id = first_id
        RETURNING id INTO second_id;

        -- quantity * price * (1 - discount), half a cent away from zero: 0.125 -> 0.13; 7 digits behind the point
        INSERT INTO sales_order_item (order_id, product_id, quantity, unit_price, discount_percentage, tax_rate, line_total)
        VALUES (first_id, product_id, 0.125, 1.00, 0, 50, 77),
               (first_id, product_id, 1.001, 99999.99, 33.33, 0, 77),
               (first_id, product_id, 5, 0.01, NULL, NULL, NULL);
        ASSERT (SELECT array_agg(line_total ORDER BY quantity) = '{0.13,66736.66,0.05}' FROM sales_order_item WHERE order_id = first_id),
            (SELECT format('lines are %s', array_agg(line_total ORDER BY quantity)) FROM sales_order_item WHERE order_id = first_id);
        ASSERT (SELECT (subtotal, tax_amount, total_amount) = (66736.84, 0.07, 66736.91) FROM sales_order WHERE id = first_id),
            'the order should be the sum of its lines, tax rounded on each';

        UPDATE sales_order SET subtotal = 1, tax_amount = 1, total_amount = 1, shipping_amount = 10, discount_amount = 0.91 WHERE id = first_id;
        ASSERT (SELECT (subtotal, tax_amount, total_amount) = (66736.84, 0.07, 66746.00) FROM sales_order WHERE id = first_id),
            'a client should set shipping and discount, and no sum';

        UPDATE sales_order_item SET line_total = 1 WHERE order_id = first_id;
        UPDATE sales_order_item SET order_id = second_id WHERE order_id = first_id AND quantity = 5;
        ASSERT (SELECT (subtotal, total_amount) = (66736.79, 66745.95) FROM sales_order WHERE id = first_id)
            AND (SELECT (subtotal, total_amount) = (0.05, 0.05) FROM sales_order WHERE id = second_id),
            'a line that moves should be counted where it is';

        DELETE FROM sales_order_item WHERE order_id IN (first_id, second_id);
        ASSERT (SELECT sum(subtotal) = 0 AND sum(total_amount) = 9.09 FROM sales_order WHERE id IN (first_id, second_id)),
            'no line, no subtotal';

        RAISE EXCEPTION 'the test is over' USING ERRCODE = 'MR002';
    EXCEPTION
        WHEN SQLSTATE 'MR002' THEN
            NULL;
    END;
END
$$;

-- step: documents are numbered
DO $$
DECLARE
    org     uuid;
    year    text := extract(year FROM current_date)::text;
    writer  record;
    drawn   text;
BEGIN
    BEGIN
        INSERT INTO organization (name, slug) VALUES ('Unit', 'unit-002-' || gen_random_uuid()) RETURNING id INTO org;
        ASSERT next_document_number(org, 'sales_order') = 'SO-' || year || '-000001', 'the first order should be number 1';
        ASSERT next_document_number(org, 'sales_order') = 'SO-' || year || '-000002', 'the next one should be number 2';
        ASSERT next_document_number(org, 'sales_quote') = 'SQ-' || year || '-000001', 'quotes should be numbered by themselves';
        ASSERT next_document_number(org, 'credit_note') = 'CREDIT_NOTE-' || year || '-000001', 'any kind of document should find a number';
        UPDATE document_number SET last_number = 999999 WHERE org_id = org AND kind = 'sales_order';
        ASSERT next_document_number(org, 'sales_order') = 'SO-' || year || '-1000000', 'a long number should not be cut';

        SELECT id, org_id INTO writer FROM profile ORDER BY id LIMIT 1;
        IF FOUND THEN
            drawn := next_document_number(writer.org_id, 'sales_quote');
            WITH new_customer AS (
                INSERT INTO customer (org_id, name) VALUES (writer.org_id, 'Unit') RETURNING id
            )
            INSERT INTO sales_quote (org_id, customer_id, title, currency, created_by, quote_number)
            SELECT writer.org_id, new_customer.id, 'Unit', 'EUR', writer.id, number
            FROM new_customer,
                (VALUES ('mine'), (left(drawn, 8) || lpad((right(drawn, -8)::integer + 1)::text, 6, '0')), (NULL), ('  ')) AS given (number);
            ASSERT (
                SELECT array_agg(right(quote_number, -8)::integer - right(drawn, -8)::integer ORDER BY quote_number) = '{1,2,3}'
                FROM sales_quote
                WHERE org_id = writer.org_id AND title = 'Unit' AND quote_number <> 'mine'
            ), 'a number that a client gives should be kept, and not be drawn again';
        END IF;

        RAISE EXCEPTION 'the test is over' USING ERRCODE = 'MR002';
    EXCEPTION
        WHEN SQLSTATE 'MR002' THEN
            NULL;
    END;
END
$$;

-- step: amounts get their organisation's currency
DO $$
DECLARE
    org      uuid;
    setting  record;
    found    text;
    decided  text[] := '{}';
BEGIN
    -- From 003 on, an operator may have said what a code means; then it is refused no more.
    IF to_regclass('currency_mapping') IS NOT NULL THEN
        EXECUTE $query$ SELECT coalesce(array_agg(code), '{}') FROM currency_mapping $query$ INTO decided;
    END IF;

    BEGIN
        INSERT INTO organization (name, slug) VALUES ('Unit', 'unit-002-' || gen_random_uuid()) RETURNING id INTO org;
        FOR setting IN
            SELECT * FROM (VALUES
                ('{"currency": "BRL"}'::jsonb, 'BRL'),
                ('{}', 'USD'),
                (NULL, 'USD'),
                ('{"currency": null}', 'USD'),
                ('{"currency": "ZAR (unit)"}', 'refused'),
                ('{"currency": "eur"}', 'refused'),
                ('{"currency": ""}', 'refused')
            ) AS settings (value, expected)
            WHERE expected <> 'refused' OR value ->> 'currency' <> ALL (decided)
        LOOP
            UPDATE organization SET settings = setting.value WHERE id = org;
            BEGIN
                INSERT INTO opportunity (org_id, name, amount) VALUES (org, 'Unit', 1) RETURNING currency::text INTO found;
            EXCEPTION
                WHEN invalid_parameter_value THEN
                    found := 'refused';
            END;
            ASSERT found = setting.expected, format('settings %s should give %s, and gave %s', setting.value, setting.expected, found);
        END LOOP;

        INSERT INTO opportunity (org_id, name, amount, currency) VALUES (org, 'Unit', 1, 'JPY') RETURNING currency::text INTO found;
        ASSERT found = 'JPY', 'a currency that the client names should stay';

        RAISE EXCEPTION 'the test is over' USING ERRCODE = 'MR002';
    EXCEPTION
        WHEN SQLSTATE 'MR002' THEN
            NULL;
    END;
END
$$;

-- step: no row refers to another organisation, and none moves there
DO $$
DECLARE
    org       uuid;
    other     uuid;
    own       uuid;
    stranger  uuid;
    refused   text;
BEGIN
    BEGIN
        INSERT INTO organization (name, slug) VALUES ('Unit', 'unit-002-' || gen_random_uuid()) RETURNING id INTO org;
        INSERT INTO organization (name, slug) VALUES ('Unit', 'unit-002-' || gen_random_uuid()) RETURNING id INTO other;
        INSERT INTO customer (org_id, name) VALUES (org, 'Own') RETURNING id INTO own;
        INSERT INTO customer (org_id, name) VALUES (other, 'Stranger') RETURNING id INTO stranger;

        refused := 'accepted';
        BEGIN
            INSERT INTO opportunity (org_id, customer_id, name, amount) VALUES (org, stranger, 'Unit', 1);
        EXCEPTION
            WHEN foreign_key_violation THEN refused := SQLERRM;
        END;
        ASSERT refused = 'opportunity.customer_id must name a customer of the same organisation', refused;

        INSERT INTO opportunity (org_id, customer_id, name, amount) VALUES (org, own, 'Unit', 1);
        refused := 'accepted';
        BEGIN
            UPDATE opportunity SET customer_id = stranger WHERE customer_id = own;
        EXCEPTION
            WHEN foreign_key_violation THEN refused := 'refused';
        END;
        ASSERT refused = 'refused', 'an update to a stranger''s customer was accepted';

        refused := 'accepted';
        BEGIN
            UPDATE opportunity SET org_id = other WHERE customer_id = own;
        EXCEPTION
            WHEN insufficient_privilege THEN refused := 'refused';
        END;
        ASSERT refused = 'refused', 'an opportunity moved to another organisation';

        refused := 'accepted';
        BEGIN
            UPDATE customer SET org_id = other WHERE id = own;
        EXCEPTION
            WHEN insufficient_privilege THEN refused := 'refused';
        END;
        ASSERT refused = 'refused', 'a customer moved away from its opportunity';

        -- As before phase 2: a customer that nothing of phase 2 refers to may move.
        UPDATE customer SET org_id = org WHERE id = stranger;

        RAISE EXCEPTION 'the test is over' USING ERRCODE = 'MR002';
    EXCEPTION
        WHEN SQLSTATE 'MR002' THEN
            NULL;
    END;
END
$$;
