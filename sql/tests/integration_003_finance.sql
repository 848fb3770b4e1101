-- Integration test: from order to invoice, payment and journal (migration 003), as a user of an organisation of its own.
-- An organisation whose books are posted cannot be deleted: the test sees that it is refused, and then all of it is rolled
-- back, so that neither the books nor audit_log keep a trace of a company that never was.
-- Requires: 003, a role that may write to the platform's user table and act as authenticated. Locks nothing that is in use.

-- step: an order is invoiced, paid and booked, as a user would do it
DO $$
DECLARE
    test_org_id       uuid;
    test_user_id      uuid := gen_random_uuid();
    test_customer_id  uuid;
    test_product_id   uuid;
    test_order_id     uuid;
    test_invoice_id   uuid;
    test_payment_id   uuid;
    second_payment_id uuid;
    test_entry_id     uuid;
    reversal_id       uuid;
    tried             text;
    own_role          text := current_setting('role');
BEGIN
    BEGIN
        -- An organisation with one user, wherever the platform keeps users
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
        ASSERT (SELECT count(*) = 34 FROM account), 'a user should see the default accounts of the own organisation';

        -- An order of two lines
        INSERT INTO customer (org_id, name) VALUES (test_org_id, 'Analytical Engines Ltd') RETURNING id INTO test_customer_id;
        ASSERT (SELECT currency = 'EUR' FROM customer WHERE id = test_customer_id), 'a customer should have the organisation''s currency';
        INSERT INTO product (org_id, name, sku, base_price) VALUES (test_org_id, 'Engine', 'ENG-1', 999.99) RETURNING id INTO test_product_id;
        INSERT INTO sales_order (org_id, customer_id, created_by)
        VALUES (test_org_id, test_customer_id, test_user_id)
        RETURNING id INTO test_order_id;
        INSERT INTO sales_order_item (order_id, product_id, description, quantity, unit_price, discount_percentage, tax_rate) VALUES
            (test_order_id, test_product_id, 'Engine no. 1', 3, 999.99, 10, 19),
            (test_order_id, test_product_id, 'Spare wheel', 0.5, 0.33, 0, 7);

        -- The order's invoice
        INSERT INTO invoice (org_id, customer_id, sales_order_id, due_date)
        VALUES (test_org_id, test_customer_id, test_order_id, CURRENT_DATE + 30)
        RETURNING id INTO test_invoice_id;
        INSERT INTO invoice_item (invoice_id, product_id, description, quantity, unit_price, discount_percentage, tax_rate)
        SELECT test_invoice_id, product_id, description, quantity, unit_price, discount_percentage, tax_rate
        FROM sales_order_item
        WHERE order_id = test_order_id;
        ASSERT (
            SELECT (i.subtotal, i.tax_amount, i.total_amount) = (o.subtotal, o.tax_amount, o.total_amount)
                AND (i.subtotal, i.tax_amount, i.total_amount) = (2700.14, 513.00, 3213.14)
                AND i.invoice_number ~ '^INV-\d{4}-000001$' AND i.status = 'draft' AND i.amount_due = 3213.14 AND i.created_by = test_user_id
            FROM invoice AS i JOIN sales_order AS o ON o.id = i.sales_order_id
            WHERE i.id = test_invoice_id
        ), 'an invoice should come to what its order comes to';
        UPDATE invoice SET status = 'sent' WHERE id = test_invoice_id;
        UPDATE invoice SET status = 'paid', amount_paid = 3213.14, amount_due = 0 WHERE id = test_invoice_id;
        ASSERT (SELECT (status, amount_paid, amount_due) = ('sent'::invoice_status, 0.00, 3213.14) FROM invoice WHERE id = test_invoice_id),
            'an invoice should not be paid by saying so';

        -- Paid in two parts, the second too large
        INSERT INTO payment (org_id, customer_id, invoice_id, amount, payment_method)
        VALUES (test_org_id, test_customer_id, test_invoice_id, 1000, 'bank_transfer')
        RETURNING id INTO test_payment_id;
        ASSERT (SELECT amount_paid = 0 FROM invoice WHERE id = test_invoice_id), 'a pending payment should pay nothing';
        UPDATE payment SET status = 'completed' WHERE id = test_payment_id;
        ASSERT (SELECT (status, amount_paid, amount_due) = ('partially_paid'::invoice_status, 1000.00, 2213.14) AND first_payment_at IS NOT NULL FROM invoice WHERE id = test_invoice_id),
            'a completed payment should pay its invoice';
        INSERT INTO payment (org_id, customer_id, invoice_id, amount, payment_method, status)
        VALUES (test_org_id, test_customer_id, test_invoice_id, 3000, 'bank_transfer', 'completed')
        RETURNING id INTO second_payment_id;
        ASSERT (SELECT (status, amount_paid, amount_due) = ('paid'::invoice_status, 3213.14, 0.00) FROM invoice WHERE id = test_invoice_id),
            'an invoice should be paid, and not more';
        ASSERT (SELECT amount - amount_allocated = 786.86 FROM payment WHERE id = second_payment_id), 'what is left should be left';
        BEGIN
            UPDATE payment_allocation SET amount = amount + 0.01 WHERE payment_id = second_payment_id;
            tried := 'possible';
        EXCEPTION
            WHEN check_violation THEN tried := 'refused';
        END;
        ASSERT tried = 'refused', 'paying too much should be refused, it was ' || tried;
        UPDATE payment SET status = 'refunded' WHERE id = test_payment_id;
        ASSERT (SELECT (status, amount_due) = ('partially_paid'::invoice_status, 1000.00) FROM invoice WHERE id = test_invoice_id),
            'a refunded payment should no longer pay';
        UPDATE payment SET status = 'completed' WHERE id = test_payment_id;

        -- Booked: receivable against revenue and tax
        INSERT INTO journal_entry (org_id, description, reference_type, reference_id)
        VALUES (test_org_id, 'Invoice', 'invoice', test_invoice_id)
        RETURNING id INTO test_entry_id;
        INSERT INTO journal_entry_line (journal_entry_id, account_id, debit_amount, credit_amount, line_number)
        SELECT test_entry_id, a.id, booked.debit, booked.credit, booked.line
        FROM (VALUES ('1100', 3213.14, NULL, 1), ('4100', NULL, 2700.14, 2), ('2200', NULL, 512.99, 3)) AS booked (code, debit, credit, line)
        JOIN account AS a ON a.org_id = test_org_id AND a.code = booked.code;
        BEGIN
            PERFORM post_journal_entry(test_entry_id);
            tried := 'possible';
        EXCEPTION
            WHEN check_violation THEN tried := 'refused';
        END;
        ASSERT tried = 'refused', 'posting what does not balance should be refused, it was ' || tried;
        UPDATE journal_entry_line SET credit_amount = 513.00 WHERE journal_entry_id = test_entry_id AND line_number = 3;
        PERFORM post_journal_entry(test_entry_id);
        ASSERT (
            SELECT is_posted AND posted_at IS NOT NULL AND posted_by = test_user_id AND total_debits = 3213.14 AND total_credits = 3213.14 AND currency = 'EUR'
            FROM journal_entry
            WHERE id = test_entry_id
        ), 'a posted entry should say by whom, and how much';
        BEGIN
            DELETE FROM journal_entry_line WHERE journal_entry_id = test_entry_id;
            tried := 'possible';
        EXCEPTION
            WHEN restrict_violation THEN tried := 'refused';
        END;
        ASSERT tried = 'refused', 'changing what is posted should be refused, it was ' || tried;

        -- Taken back, once
        reversal_id := reverse_journal_entry(test_entry_id, CURRENT_DATE, 'wrong customer');
        ASSERT (
            SELECT count(*) = 3 AND bool_and(balance = 0)
            FROM (SELECT account_id, sum(debit_amount) - sum(credit_amount) AS balance FROM (SELECT account_id, coalesce(debit_amount, 0) AS debit_amount, coalesce(credit_amount, 0) AS credit_amount FROM journal_entry_line WHERE journal_entry_id IN (test_entry_id, reversal_id)) AS l GROUP BY 1) AS accounts
        ), 'a reversal should bring every account back';
        BEGIN
            PERFORM reverse_journal_entry(test_entry_id);
            tried := 'possible';
        EXCEPTION
            WHEN unique_violation THEN tried := 'refused';
        END;
        ASSERT tried = 'refused', 'reversing twice should be refused, it was ' || tried;

        -- What the audit trail says
        PERFORM set_config('role', own_role, true);
        ASSERT (
            SELECT count(DISTINCT table_name) = 6 AND bool_and(user_id = test_user_id)
            FROM audit_log
            WHERE org_id = test_org_id
              AND table_name IN ('invoice', 'invoice_item', 'payment', 'payment_allocation', 'journal_entry', 'journal_entry_line')
        ), 'the audit trail should tell who did all this';

        -- Books are kept
        BEGIN
            DELETE FROM organization WHERE id = test_org_id;
            tried := 'possible';
        EXCEPTION
            WHEN restrict_violation THEN tried := 'refused';
        END;
        ASSERT tried = 'refused', 'deleting an organisation with posted entries should be refused, it was ' || tried;

        RAISE EXCEPTION 'the test is over' USING ERRCODE = 'MR003';
    EXCEPTION
        WHEN SQLSTATE 'MR003' THEN
            NULL;
    END;
END
$$;

-- step: an organisation that posted nothing can be deleted with all it has
DO $$
DECLARE
    test_org_id       uuid;
    test_user_id      uuid := gen_random_uuid();
    test_customer_id  uuid;
    test_product_id   uuid;
    test_invoice_id   uuid;
    test_entry_id     uuid;
    left_over         bigint;
BEGIN
    BEGIN
        INSERT INTO organization (name, slug) VALUES ('Test Org', 'test-org-' || gen_random_uuid()) RETURNING id INTO test_org_id;
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
        INSERT INTO customer (org_id, name) VALUES (test_org_id, 'Test') RETURNING id INTO test_customer_id;
        INSERT INTO product (org_id, name, sku, base_price) VALUES (test_org_id, 'Test', 'T', 1) RETURNING id INTO test_product_id;
        INSERT INTO invoice (org_id, customer_id, due_date, created_by)
        VALUES (test_org_id, test_customer_id, CURRENT_DATE, test_user_id)
        RETURNING id INTO test_invoice_id;
        INSERT INTO invoice_item (invoice_id, product_id, description, unit_price) VALUES (test_invoice_id, test_product_id, 'Test', 5);
        INSERT INTO payment (org_id, customer_id, invoice_id, amount, payment_method, status, processed_by)
        VALUES (test_org_id, test_customer_id, test_invoice_id, 5, 'cash', 'completed', test_user_id);
        INSERT INTO journal_entry (org_id, description, created_by) VALUES (test_org_id, 'Test', test_user_id) RETURNING id INTO test_entry_id;
        INSERT INTO journal_entry_line (journal_entry_id, account_id, debit_amount, line_number)
        SELECT test_entry_id, id, 5, 1 FROM account WHERE org_id = test_org_id AND code = '1010';
        INSERT INTO tax_rate (org_id, name, tax_type, rate, effective_from) VALUES (test_org_id, 'Test', 'vat', 0.1, CURRENT_DATE);
        INSERT INTO exchange_rate (org_id, base_currency, quote_currency, rate, valid_from) VALUES (test_org_id, 'USD', 'EUR', 0.9, CURRENT_DATE);

        DELETE FROM organization WHERE id = test_org_id;
        SET CONSTRAINTS ALL IMMEDIATE;
        SELECT sum(remaining)
        INTO left_over
        FROM (
            SELECT count(*) FROM organization_currency WHERE org_id = test_org_id
            UNION ALL SELECT count(*) FROM account WHERE org_id = test_org_id
            UNION ALL SELECT count(*) FROM tax_rate WHERE org_id = test_org_id
            UNION ALL SELECT count(*) FROM exchange_rate WHERE org_id = test_org_id
            UNION ALL SELECT count(*) FROM invoice WHERE org_id = test_org_id
            UNION ALL SELECT count(*) FROM invoice_item WHERE invoice_id = test_invoice_id
            UNION ALL SELECT count(*) FROM payment WHERE org_id = test_org_id
            UNION ALL SELECT count(*) FROM payment_allocation WHERE org_id = test_org_id
            UNION ALL SELECT count(*) FROM journal_entry WHERE org_id = test_org_id
            UNION ALL SELECT count(*) FROM journal_entry_line WHERE journal_entry_id = test_entry_id
        ) AS tables (remaining);
        ASSERT left_over = 0, format('%s rows outlived their organisation', left_over);
        RAISE EXCEPTION 'the test is over' USING ERRCODE = 'MR003';
    EXCEPTION
        WHEN SQLSTATE 'MR003' THEN
            NULL;
    END;
END
$$;
