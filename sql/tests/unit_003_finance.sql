-- Unit tests of migration 003: each rule refuses what it should, each trigger keeps what it should.
-- Every test works in a subtransaction that it ends with an error of its own: nothing stays, whoever runs this.
-- Where a test needs a user, it takes one who is there, for users are the platform's to make; without any it says so. The
-- currency of that user's organisation may wait for a decision, so amounts name one.
-- Requires: 003, a role above row-level security. Locks the number row of one organisation for some milliseconds.

-- step: the tables and enums of phase 3 are there
DO $$
BEGIN
    ASSERT (
        SELECT count(*)
        FROM information_schema.tables
        WHERE table_schema = 'public'
          AND table_name IN (
              'account', 'tax_rate', 'exchange_rate', 'invoice', 'invoice_item', 'payment', 'payment_allocation',
              'journal_entry', 'journal_entry_line', 'organization_currency', 'currency_mapping'
          )
    ) = 11, 'the 11 tables of phase 3 should exist';

    ASSERT (SELECT count(*) FROM pg_type WHERE typname IN ('currency_code', 'invoice_status', 'payment_status', 'payment_method', 'tax_type')) = 5,
        'their enums should exist';
END
$$;

-- step: settings say what the currency is
-- A code that is no label means what the operator decided, and nothing where he did not.
DO $$
DECLARE
    wrong  text;
BEGIN
    SELECT string_agg(
        format('%s gave %s %s, expected %s %s', settings, said.currency, source, due.currency, due.source_named), '; '
    )
    INTO wrong
    FROM (VALUES
        (NULL::jsonb,                    'USD'::currency_code, 'default'),
        ('{}',                           'USD', 'default'),
        ('{"currency": null}',           'USD', 'default'),
        ('{"currency": ""}',             NULL,  'undecided'),
        ('[]',                           'USD', 'default'),
        ('{"currency": "EUR"}',          'EUR', 'settings'),
        ('{"currency": "eur"}',          NULL,  'undecided'),
        ('{"currency": " EUR"}',         NULL,  'undecided'),
        ('{"currency": "EURO"}',         NULL,  'undecided'),
        ('{"currency": "Z-R"}',          NULL,  'undecided'),
        ('{"currency": "E UR"}',         NULL,  'undecided'),
        ('{"currency": 978}',            NULL,  'undecided'),
        ('{"currency": {"code": "EUR"}}', NULL, 'undecided')
    ) AS asked (settings, expected, expected_source)
    CROSS JOIN LATERAL currency_of_settings(settings) AS said
    LEFT JOIN currency_mapping AS decided ON decided.code = settings ->> 'currency' AND expected_source = 'undecided'
    CROSS JOIN LATERAL (
        SELECT coalesce(decided.currency, expected), CASE WHEN decided.code IS NULL THEN expected_source ELSE 'mapped' END
    ) AS due (currency, source_named)
    WHERE (said.currency, said.source) IS DISTINCT FROM (due.currency, due.source_named);
    ASSERT wrong IS NULL, 'settings are read wrongly: ' || wrong;
END
$$;

-- step: rules refuse what they should
DO $$
DECLARE
    writer   record;
    given    record;
    attempt  record;
    broken   text;
    said     text;
    name     text;
BEGIN
    SELECT id, org_id INTO writer FROM profile ORDER BY id LIMIT 1;
    IF NOT FOUND THEN
        RAISE NOTICE 'not applicable here: there is no user: rules were not tried';
        RETURN;
    END IF;

    BEGIN
        WITH new_customer AS (
            INSERT INTO customer (org_id, name, currency) VALUES (writer.org_id, 'Unit', 'EUR') RETURNING id
        ), new_account AS (
            INSERT INTO account (org_id, code, name, account_type, normal_balance)
            VALUES (writer.org_id, 'unit-003', 'Unit', 'asset', 'debit')
            RETURNING id
        ), new_invoice AS (
            INSERT INTO invoice (org_id, customer_id, currency, due_date, created_by)
            SELECT writer.org_id, id, 'EUR', CURRENT_DATE, writer.id FROM new_customer
            RETURNING id
        ), new_entry AS (
            INSERT INTO journal_entry (org_id, description, currency, created_by) VALUES (writer.org_id, 'Unit', 'EUR', writer.id) RETURNING id
        ), new_tax AS (
            INSERT INTO tax_rate (org_id, name, tax_type, rate, effective_from, effective_to)
            VALUES (writer.org_id, 'Unit', 'vat', 0.2, '2025-01-01', '2025-06-30')
            RETURNING id
        )
        SELECT writer.org_id AS org, writer.id AS usr, new_customer.id AS customer, new_account.id AS account,
            new_invoice.id AS invoice, new_entry.id AS entry
        INTO given
        FROM new_customer, new_account, new_invoice, new_entry, new_tax;

        FOR attempt IN
            SELECT * FROM (VALUES
                ('23505', 'account_code_is_unique_in_organization',
                 'INSERT INTO account (org_id, code, name, account_type, normal_balance) VALUES ($1.org, ''unit-003'', ''x'', ''asset'', ''debit'')'),
                ('23514', 'account_normal_balance_follows_type',
                 'INSERT INTO account (org_id, code, name, account_type, normal_balance) VALUES ($1.org, ''x'', ''x'', ''asset'', ''credit'')'),
                ('23514', 'account_type_is_known',
                 'INSERT INTO account (org_id, code, name, account_type, normal_balance) VALUES ($1.org, ''x'', ''x'', ''other'', ''credit'')'),
                ('23514', 'account_is_not_its_own_parent',
                 'UPDATE account SET parent_account_id = id WHERE id = $1.account'),
                ('23P01', 'tax_rate_periods_do_not_overlap',
                 'INSERT INTO tax_rate (org_id, name, tax_type, rate, effective_from) VALUES ($1.org, ''UNIT'', ''vat'', 0.1, ''2025-06-30'')'),
                ('23514', 'tax_rate_is_a_fraction',
                 'INSERT INTO tax_rate (org_id, name, tax_type, rate, effective_from) VALUES ($1.org, ''x'', ''vat'', 7.5, ''2025-06-30'')'),
                ('23514', 'tax_rate_effective_dates_in_order',
                 'INSERT INTO tax_rate (org_id, name, tax_type, rate, effective_from, effective_to) VALUES ($1.org, ''x'', ''vat'', 0, ''2025-06-30'', ''2025-06-29'')'),
                ('23514', 'exchange_rate_is_positive',
                 'INSERT INTO exchange_rate (base_currency, quote_currency, rate, valid_from) VALUES (''USD'', ''EUR'', ''NaN'', ''0001-01-01'')'),
                ('23514', 'exchange_rate_is_between_two_currencies',
                 'INSERT INTO exchange_rate (base_currency, quote_currency, rate, valid_from) VALUES (''USD'', ''USD'', 1, ''0001-01-01'')'),
                ('23514', 'invoice_due_after_invoice_date',
                 'UPDATE invoice SET due_date = invoice_date - 1 WHERE id = $1.invoice'),
                ('23514', 'invoice_amounts_not_negative',
                 'UPDATE invoice SET discount_amount = ''NaN'' WHERE id = $1.invoice'),
                ('23514', 'invoice_item_quantity_positive',
                 'INSERT INTO invoice_item (invoice_id, description, quantity, unit_price) VALUES ($1.invoice, ''x'', 0, 1)'),
                ('23514', 'invoice_item_line_total_is_known',
                 'INSERT INTO invoice_item (invoice_id, description, quantity, unit_price) VALUES ($1.invoice, ''x'', 1, ''NaN'')'),
                ('23514', 'invoice_item_tax_rate_is_a_percentage',
                 'INSERT INTO invoice_item (invoice_id, description, quantity, unit_price, tax_rate) VALUES ($1.invoice, ''x'', 1, 1, 101)'),
                ('23514', 'payment_amount_positive',
                 'INSERT INTO payment (org_id, customer_id, currency, amount, payment_method) VALUES ($1.org, $1.customer, ''EUR'', ''NaN'', ''cash'')'),
                ('23514', 'journal_entry_line_is_debit_or_credit',
                 'INSERT INTO journal_entry_line (journal_entry_id, account_id, line_number) VALUES ($1.entry, $1.account, 1)'),
                ('23514', 'journal_entry_line_is_debit_or_credit',
                 'INSERT INTO journal_entry_line (journal_entry_id, account_id, line_number, debit_amount, credit_amount) VALUES ($1.entry, $1.account, 1, 5, 5)'),
                ('23514', 'journal_entry_line_amounts_not_negative',
                 'INSERT INTO journal_entry_line (journal_entry_id, account_id, line_number, debit_amount, credit_amount) VALUES ($1.entry, $1.account, 1, 5, -5)'),
                ('23514', 'journal_entry_posted_is_balanced',
                 'UPDATE journal_entry SET is_posted = true WHERE id = $1.entry'),
                ('23514', 'journal_entry_posted_is_balanced',
                 'INSERT INTO journal_entry (org_id, description, currency, created_by, is_posted) VALUES ($1.org, ''x'', ''EUR'', $1.usr, true)')
            ) AS listed (sqlstate, rule, statement)
        LOOP
            FOREACH name IN ARRAY ARRAY['org', 'usr', 'customer', 'account', 'invoice', 'entry'] LOOP
                attempt.statement := replace(attempt.statement, '$1.' || name, quote_literal(to_jsonb(given) ->> name));
            END LOOP;
            broken := 'nothing';
            said := '00000';
            BEGIN
                EXECUTE attempt.statement;
            EXCEPTION
                WHEN OTHERS THEN
                    GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME, said = RETURNED_SQLSTATE;
            END;
            ASSERT (said, broken) = (attempt.sqlstate, attempt.rule),
                format('%s should break %s (%s), broke %s (%s)', attempt.statement, attempt.rule, attempt.sqlstate, broken, said);
        END LOOP;
        RAISE EXCEPTION 'the test is over' USING ERRCODE = 'MR003';
    EXCEPTION
        WHEN SQLSTATE 'MR003' THEN
            NULL;
    END;
END
$$;

-- step: amounts convert and round as defined
DO $$
DECLARE
    wrong  text;
BEGIN
    BEGIN
        INSERT INTO exchange_rate (base_currency, quote_currency, rate, valid_from) VALUES
            ('USD', 'EUR', 0.8, '0001-01-01'),
            ('USD', 'JPY', 150.25, '0001-01-01'),
            ('GBP', 'USD', 3, '0001-01-01');

        SELECT string_agg(format('%s %s in %s gave %s, expected %s', amount, source, target, converted, expected), '; ')
        INTO wrong
        FROM (VALUES
            (NULL::numeric, 'USD'::currency_code, 'EUR'::currency_code, NULL::numeric),
            (0, 'USD', 'EUR', 0.00),
            (1.005, 'USD', 'USD', 1.01),
            (-1.005, 'USD', 'USD', -1.01),
            (10.00, 'USD', 'EUR', 8.00),
            (0.01, 'USD', 'EUR', 0.01),
            (8.00, 'EUR', 'USD', 10.00),
            (10.00, 'USD', 'JPY', 1503),
            (-10.00, 'USD', 'JPY', -1503),
            (1503, 'JPY', 'USD', 10.00),
            (10.00, 'USD', 'GBP', 3.33),
            (0.05, 'USD', 'GBP', 0.02),
            (9999999999.99, 'USD', 'GBP', 3333333333.33)
        ) AS asked (amount, source, target, expected)
        CROSS JOIN LATERAL convert_amount(amount, source, target, '0001-06-01') AS converted
        WHERE converted IS DISTINCT FROM expected;
        ASSERT wrong IS NULL, 'conversion is wrong: ' || wrong;
        RAISE EXCEPTION 'the test is over' USING ERRCODE = 'MR003';
    EXCEPTION
        WHEN SQLSTATE 'MR003' THEN
            NULL;
    END;
END
$$;

-- step: a new organisation has a currency and its accounts
DO $$
DECLARE
    founded  uuid;
    known    record;
BEGIN
    BEGIN
        INSERT INTO organization (name, slug, settings)
        VALUES ('Unit 003', 'unit-003-' || gen_random_uuid(), '{"currency": "JPY"}')
        RETURNING id INTO founded;
        ASSERT organization_currency(founded) = 'JPY', 'its currency should be that of its settings';
        ASSERT (SELECT count(*) FROM account WHERE org_id = founded) = 34, 'it should have the default accounts';
        ASSERT create_default_accounts(founded) = 0, 'it should not get them twice';
        ASSERT NOT EXISTS (
            SELECT FROM account AS a JOIN account AS p ON p.id = a.parent_account_id WHERE a.org_id = founded AND p.org_id <> founded
        ), 'its accounts should stand below its own';
        DELETE FROM account WHERE org_id = founded AND code IN ('6900', '1590', '1500');
        ASSERT create_default_accounts(founded) = 3, 'it should get back what it lacks';
        ASSERT (SELECT p.code = '1500' FROM account AS a JOIN account AS p ON p.id = a.parent_account_id WHERE a.org_id = founded AND a.code = '1590'),
            'and where it belongs';

        UPDATE organization SET settings = settings || '{"currency": "ZAR (unit)"}' WHERE id = founded;
        SELECT currency, source INTO known FROM organization_currency WHERE org_id = founded;
        ASSERT (known.currency, known.source) = ('JPY'::currency_code, 'kept'), 'what nobody can read should change nothing';
        INSERT INTO customer (org_id, name) VALUES (founded, 'Kept');
        ASSERT (SELECT currency = 'JPY' FROM customer WHERE org_id = founded), 'customers should go on in the currency before';
        BEGIN
            PERFORM organization_currency(founded);
            ASSERT false, 'books should wait for a decision';
        EXCEPTION
            WHEN invalid_parameter_value THEN NULL;
        END;
        PERFORM decide_currency('ZAR (unit)', 'CHF', 'unit test');
        ASSERT organization_currency(founded) = 'CHF', 'a decision should hold for who waits for it';
        INSERT INTO customer (org_id, name) VALUES (founded, 'Unit');
        ASSERT (SELECT currency = 'CHF' FROM customer WHERE org_id = founded AND name = 'Unit'), 'a customer should have its organisation''s currency';
        RAISE EXCEPTION 'the test is over' USING ERRCODE = 'MR003';
    EXCEPTION
        WHEN SQLSTATE 'MR003' THEN
            NULL;
    END;
END
$$;
