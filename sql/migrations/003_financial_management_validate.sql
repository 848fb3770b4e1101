-- Migration 003: Financial management, validated
-- phase: 3
-- requires: 001, 002
--
-- What it is: compares the catalogue with what 003 makes, then the rows with the promises of 003, then tries what must not
-- succeed. Each statement fails with the names of what is wrong.
--
-- What it locks: catalogues are read under ACCESS SHARE; each amount is read once. The trials write rows of their own for
-- one existing user and undo them at once, inside their own block: no row stays, whoever runs this.
--
-- What an operator must know: later migrations may add to what is here; nothing may be missing or different.

-- step: tables have their columns
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH expected (name, columns) AS (
        VALUES
            ('currency_mapping',
             'code text not null, currency currency_code not null, decided_by text not null, decided_at timestamp with time '
             'zone not null'),
            ('organization_currency',
             'org_id uuid not null, currency currency_code, source text not null, code_found text, decided_by text, '
             'created_at timestamp with time zone, updated_at timestamp with time zone'),
            ('account',
             'id uuid not null, org_id uuid not null, code text not null, name text not null, account_type text not null, '
             'parent_account_id uuid, description text, is_active boolean, normal_balance text not null, created_at timestamp '
             'with time zone, updated_at timestamp with time zone'),
            ('tax_rate',
             'id uuid not null, org_id uuid not null, name text not null, tax_type tax_type not null, rate numeric(5,4) not '
             'null, is_compound boolean, is_active boolean, effective_from date not null, effective_to date, jurisdiction '
             'text, created_at timestamp with time zone, updated_at timestamp with time zone'),
            ('exchange_rate',
             'id uuid not null, org_id uuid, base_currency currency_code not null, quote_currency currency_code not null, '
             'rate numeric(20,10) not null, valid_from date not null, source text, created_at timestamp with time zone, '
             'updated_at timestamp with time zone'),
            ('invoice',
             'id uuid not null, org_id uuid not null, customer_id uuid not null, sales_order_id uuid, invoice_number text not '
             'null, status invoice_status, currency currency_code, subtotal numeric(12,2), tax_amount numeric(12,2), '
             'discount_amount numeric(12,2), total_amount numeric(12,2), amount_paid numeric(12,2), amount_due numeric(12,2), '
             'invoice_date date, due_date date not null, payment_terms text, billing_address jsonb, notes text, sent_at '
             'timestamp with time zone, viewed_at timestamp with time zone, first_payment_at timestamp with time zone, '
             'created_by uuid not null, created_at timestamp with time zone, updated_at timestamp with time zone'),
            ('invoice_item',
             'id uuid not null, invoice_id uuid not null, product_id uuid, description text not null, quantity numeric(10,3) '
             'not null, unit_price numeric(10,2) not null, discount_percentage numeric(5,2), line_total numeric(12,2), '
             'tax_rate numeric(5,2), created_at timestamp with time zone'),
            ('payment',
             'id uuid not null, org_id uuid not null, customer_id uuid not null, invoice_id uuid, payment_number text not '
             'null, amount numeric(12,2) not null, currency currency_code, payment_method payment_method not null, status '
             'payment_status, payment_date date, reference_number text, gateway_transaction_id text, gateway_response jsonb, '
             'notes text, processed_by uuid, created_at timestamp with time zone, updated_at timestamp with time zone, '
             'amount_allocated numeric(12,2)'),
            ('payment_allocation',
             'id uuid not null, org_id uuid not null, payment_id uuid not null, invoice_id uuid not null, amount '
             'numeric(12,2) not null, created_at timestamp with time zone, updated_at timestamp with time zone'),
            ('journal_entry',
             'id uuid not null, org_id uuid not null, entry_number text not null, description text not null, entry_date date, '
             'reference_type text, reference_id uuid, total_debits numeric(15,2), total_credits numeric(15,2), is_posted '
             'boolean, posted_at timestamp with time zone, posted_by uuid, created_by uuid not null, created_at timestamp '
             'with time zone, currency currency_code'),
            ('journal_entry_line',
             'id uuid not null, journal_entry_id uuid not null, account_id uuid not null, description text, debit_amount '
             'numeric(15,2), credit_amount numeric(15,2), line_number integer not null, created_at timestamp with time zone')
    ),
    found AS (
        SELECT
            relname::text AS name,
            string_agg(
                attname || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' not null' ELSE '' END,
                ', ' ORDER BY attnum
            ) AS columns
        FROM pg_class
        JOIN pg_attribute ON attrelid = pg_class.oid
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
        GROUP BY relname
    )
    SELECT string_agg(format('%s %s, expected %s', name, coalesce(found.columns, 'is missing'), expected.columns), '; ' ORDER BY name)
    INTO wrong
    FROM expected
    LEFT JOIN found USING (name)
    WHERE found.columns IS DISTINCT FROM expected.columns;
    ASSERT wrong IS NULL, format('tables differ: %s', wrong);
END
$$;

-- step: existing amounts have a currency
DO $$
DECLARE
    wrong  text;
BEGIN
    SELECT string_agg(name, ', ' ORDER BY name)
    INTO wrong
    FROM unnest(ARRAY['customer', 'inventory_item', 'purchase_order', 'purchase_order_item']) AS amounts (name)
    WHERE NOT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = to_regclass('public.' || name)
          AND attname = 'currency'
          AND atttypid = to_regtype('public.currency_code')
          AND attnotnull
          AND NOT atthasdef
    );
    ASSERT wrong IS NULL, format('no column currency currency_code not null, without a default: %s', wrong);

    SELECT string_agg(conname, ', ' ORDER BY conname)
    INTO wrong
    FROM pg_constraint
    WHERE conname IN (
        'customer_has_currency', 'inventory_item_has_currency', 'purchase_order_has_currency', 'purchase_order_item_has_currency'
    );
    ASSERT wrong IS NULL, format('checks that only led to NOT NULL are left over: %s', wrong);
END
$$;

-- step: constraints are there and validated
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH expected (on_table, name, definition) AS (
        VALUES
            ('currency_mapping',
             'currency_mapping_pkey',
             'PRIMARY KEY (code)'),
            ('currency_mapping',
             'currency_mapping_code_length',
             'CHECK ((char_length(code) <= 200))'),
            ('currency_mapping',
             'currency_mapping_names_who_decided',
             'CHECK (((char_length(decided_by) >= 1) AND (char_length(decided_by) <= 200)))'),
            ('organization_currency',
             'organization_currency_pkey',
             'PRIMARY KEY (org_id)'),
            ('organization_currency',
             'organization_currency_org_id_fkey',
             'FOREIGN KEY (org_id) REFERENCES organization(id) ON DELETE CASCADE'),
            ('organization_currency',
             'organization_currency_mapping_names_who_decided',
             'CHECK (((source <> ''mapped''::text) OR (decided_by IS NOT NULL)))'),
            ('organization_currency',
             'organization_currency_source_is_known',
             'CHECK ((source = ANY (ARRAY[''settings''::text, ''default''::text, ''mapped''::text, ''kept''::text, '
             '''undecided''::text])))'),
            ('organization_currency',
             'organization_currency_undecided_means_none',
             'CHECK (((source = ''undecided''::text) = (currency IS NULL)))'),
            ('account',
             'account_pkey',
             'PRIMARY KEY (id)'),
            ('account',
             'account_code_is_unique_in_organization',
             'UNIQUE (org_id, code)'),
            ('account',
             'account_org_id_fkey',
             'FOREIGN KEY (org_id) REFERENCES organization(id) ON DELETE CASCADE'),
            ('account',
             'account_parent_account_id_fkey',
             'FOREIGN KEY (parent_account_id) REFERENCES account(id)'),
            ('account',
             'account_code_length',
             'CHECK (((char_length(code) >= 1) AND (char_length(code) <= 20)))'),
            ('account',
             'account_is_not_its_own_parent',
             'CHECK ((parent_account_id <> id))'),
            ('account',
             'account_name_length',
             'CHECK (((char_length(name) >= 1) AND (char_length(name) <= 200)))'),
            ('account',
             'account_normal_balance_follows_type',
             'CHECK ((normal_balance =
CASE
    WHEN (account_type = ANY (ARRAY[''asset''::text, ''expense''::text, '
             '''contra_liability''::text, ''contra_equity''::text, ''contra_revenue''::text])) THEN ''debit''::text
    ELSE '
             '''credit''::text
END))'),
            ('account',
             'account_type_is_known',
             'CHECK ((account_type = ANY (ARRAY[''asset''::text, ''liability''::text, ''equity''::text, ''revenue''::text, '
             '''expense''::text, ''contra_asset''::text, ''contra_liability''::text, ''contra_equity''::text, '
             '''contra_revenue''::text, ''contra_expense''::text])))'),
            ('tax_rate',
             'tax_rate_pkey',
             'PRIMARY KEY (id)'),
            ('tax_rate',
             'tax_rate_periods_do_not_overlap',
             'EXCLUDE USING gist (org_id WITH =, lower(btrim(name)) WITH =, tax_type WITH =, COALESCE(lower(btrim(jurisdiction)), '
             '''''::text) WITH =, daterange(effective_from, effective_to, ''[]''::text) WITH &&) WHERE ((is_active IS NOT '
             'FALSE))'),
            ('tax_rate',
             'tax_rate_org_id_fkey',
             'FOREIGN KEY (org_id) REFERENCES organization(id) ON DELETE CASCADE'),
            ('tax_rate',
             'tax_rate_effective_dates_in_order',
             'CHECK ((effective_to >= effective_from))'),
            ('tax_rate',
             'tax_rate_is_a_fraction',
             'CHECK (((rate >= (0)::numeric) AND (rate <= (1)::numeric)))'),
            ('tax_rate',
             'tax_rate_jurisdiction_length',
             'CHECK (((char_length(jurisdiction) >= 1) AND (char_length(jurisdiction) <= 200)))'),
            ('tax_rate',
             'tax_rate_name_length',
             'CHECK (((char_length(name) >= 1) AND (char_length(name) <= 200)))'),
            ('exchange_rate',
             'exchange_rate_pkey',
             'PRIMARY KEY (id)'),
            ('exchange_rate',
             'exchange_rate_is_unique_per_organization_and_day',
             'UNIQUE (org_id, base_currency, quote_currency, valid_from)'),
            ('exchange_rate',
             'exchange_rate_org_id_fkey',
             'FOREIGN KEY (org_id) REFERENCES organization(id) ON DELETE CASCADE'),
            ('exchange_rate',
             'exchange_rate_is_between_two_currencies',
             'CHECK ((base_currency <> quote_currency))'),
            ('exchange_rate',
             'exchange_rate_is_positive',
             'CHECK (((rate > (0)::numeric) AND (rate < ''Infinity''::numeric)))'),
            ('exchange_rate',
             'exchange_rate_source_length',
             'CHECK (((char_length(source) >= 1) AND (char_length(source) <= 200)))'),
            ('invoice',
             'invoice_pkey',
             'PRIMARY KEY (id)'),
            ('invoice',
             'invoice_number_is_unique_in_organization',
             'UNIQUE (org_id, invoice_number)'),
            ('invoice',
             'invoice_created_by_fkey',
             'FOREIGN KEY (created_by) REFERENCES profile(id)'),
            ('invoice',
             'invoice_customer_id_fkey',
             'FOREIGN KEY (customer_id) REFERENCES customer(id)'),
            ('invoice',
             'invoice_org_id_fkey',
             'FOREIGN KEY (org_id) REFERENCES organization(id) ON DELETE CASCADE'),
            ('invoice',
             'invoice_sales_order_id_fkey',
             'FOREIGN KEY (sales_order_id) REFERENCES sales_order(id)'),
            ('invoice',
             'invoice_amounts_are_known',
             'CHECK ((num_nulls(subtotal, tax_amount, discount_amount, total_amount, amount_paid, amount_due) = 0))'),
            ('invoice',
             'invoice_amounts_not_negative',
             'CHECK ((((subtotal >= (0)::numeric) AND (subtotal <= 9999999999.99)) AND ((tax_amount >= (0)::numeric) AND '
             '(tax_amount <= 9999999999.99)) AND ((discount_amount >= (0)::numeric) AND (discount_amount <= 9999999999.99)) '
             'AND ((amount_paid >= (0)::numeric) AND (amount_paid <= 9999999999.99))))'),
            ('invoice',
             'invoice_cancelled_means_nothing_paid',
             'CHECK (((status <> ''cancelled''::invoice_status) OR (amount_paid = (0)::numeric)))'),
            ('invoice',
             'invoice_due_after_invoice_date',
             'CHECK ((due_date >= invoice_date))'),
            ('invoice',
             'invoice_due_is_total_less_paid',
             'CHECK (((amount_due = (total_amount - amount_paid)) IS TRUE))'),
            ('invoice',
             'invoice_has_status_and_currency',
             'CHECK ((num_nulls(status, currency) = 0))'),
            ('invoice',
             'invoice_is_not_overpaid',
             'CHECK ((amount_paid <= GREATEST(total_amount, (0)::numeric)))'),
            ('invoice',
             'invoice_number_length',
             'CHECK (((char_length(invoice_number) >= 1) AND (char_length(invoice_number) <= 200)))'),
            ('invoice',
             'invoice_paid_means_nothing_due',
             'CHECK (((status <> ''paid''::invoice_status) OR (amount_due = (0)::numeric)))'),
            ('invoice',
             'invoice_total_is_sum_of_lines',
             'CHECK (((total_amount = ((subtotal + tax_amount) - discount_amount)) IS TRUE))'),
            ('invoice',
             'invoice_total_not_negative',
             'CHECK (((total_amount >= (0)::numeric) OR (subtotal = (0)::numeric) OR (status = ''draft''::invoice_status)))'),
            ('invoice_item',
             'invoice_item_pkey',
             'PRIMARY KEY (id)'),
            ('invoice_item',
             'invoice_item_invoice_id_fkey',
             'FOREIGN KEY (invoice_id) REFERENCES invoice(id) ON DELETE CASCADE'),
            ('invoice_item',
             'invoice_item_product_id_fkey',
             'FOREIGN KEY (product_id) REFERENCES product(id) DEFERRABLE INITIALLY DEFERRED'),
            ('invoice_item',
             'invoice_item_description_length',
             'CHECK (((char_length(description) >= 1) AND (char_length(description) <= 1000)))'),
            ('invoice_item',
             'invoice_item_discount_is_a_percentage',
             'CHECK (((discount_percentage >= (0)::numeric) AND (discount_percentage <= (100)::numeric)))'),
            ('invoice_item',
             'invoice_item_line_total_is_known',
             'CHECK (((line_total IS NOT NULL) AND ((line_total >= (0)::numeric) AND (line_total <= 9999999999.99))))'),
            ('invoice_item',
             'invoice_item_quantity_positive',
             'CHECK (((quantity > (0)::numeric) AND (quantity < ''Infinity''::numeric)))'),
            ('invoice_item',
             'invoice_item_tax_rate_is_a_percentage',
             'CHECK (((tax_rate >= (0)::numeric) AND (tax_rate <= (100)::numeric)))'),
            ('invoice_item',
             'invoice_item_unit_price_not_negative',
             'CHECK (((unit_price >= (0)::numeric) AND (unit_price <= 99999999.99)))'),
            ('payment',
             'payment_pkey',
             'PRIMARY KEY (id)'),
            ('payment',
             'payment_number_is_unique_in_organization',
             'UNIQUE (org_id, payment_number)'),
            ('payment',
             'payment_customer_id_fkey',
             'FOREIGN KEY (customer_id) REFERENCES customer(id)'),
            ('payment',
             'payment_invoice_id_fkey',
             'FOREIGN KEY (invoice_id) REFERENCES invoice(id)'),
            ('payment',
             'payment_org_id_fkey',
             'FOREIGN KEY (org_id) REFERENCES organization(id) ON DELETE CASCADE'),
            ('payment',
             'payment_processed_by_fkey',
             'FOREIGN KEY (processed_by) REFERENCES profile(id) ON DELETE SET NULL'),
            ('payment',
             'payment_amount_positive',
             'CHECK (((amount > (0)::numeric) AND (amount <= 9999999999.99)))'),
            ('payment',
             'payment_has_status_and_currency',
             'CHECK ((num_nulls(status, currency) = 0))'),
            ('payment',
             'payment_is_not_over_allocated',
             'CHECK (((amount_allocated IS NOT NULL) AND ((amount_allocated >= (0)::numeric) AND (amount_allocated <= '
             'amount))))'),
            ('payment',
             'payment_number_length',
             'CHECK (((char_length(payment_number) >= 1) AND (char_length(payment_number) <= 200)))'),
            ('payment_allocation',
             'payment_allocation_pkey',
             'PRIMARY KEY (id)'),
            ('payment_allocation',
             'payment_allocation_is_one_per_payment_and_invoice',
             'UNIQUE (payment_id, invoice_id)'),
            ('payment_allocation',
             'payment_allocation_invoice_id_fkey',
             'FOREIGN KEY (invoice_id) REFERENCES invoice(id)'),
            ('payment_allocation',
             'payment_allocation_org_id_fkey',
             'FOREIGN KEY (org_id) REFERENCES organization(id) ON DELETE CASCADE'),
            ('payment_allocation',
             'payment_allocation_payment_id_fkey',
             'FOREIGN KEY (payment_id) REFERENCES payment(id)'),
            ('payment_allocation',
             'payment_allocation_amount_positive',
             'CHECK (((amount > (0)::numeric) AND (amount <= 9999999999.99)))'),
            ('journal_entry',
             'journal_entry_pkey',
             'PRIMARY KEY (id)'),
            ('journal_entry',
             'journal_entry_number_is_unique_in_organization',
             'UNIQUE (org_id, entry_number)'),
            ('journal_entry',
             'journal_entry_created_by_fkey',
             'FOREIGN KEY (created_by) REFERENCES profile(id)'),
            ('journal_entry',
             'journal_entry_org_id_fkey',
             'FOREIGN KEY (org_id) REFERENCES organization(id) ON DELETE CASCADE'),
            ('journal_entry',
             'journal_entry_posted_by_fkey',
             'FOREIGN KEY (posted_by) REFERENCES profile(id)'),
            ('journal_entry',
             'journal_entry_amounts_are_known',
             'CHECK ((num_nulls(total_debits, total_credits, is_posted, currency, entry_date) = 0))'),
            ('journal_entry',
             'journal_entry_amounts_not_negative',
             'CHECK ((((total_debits >= (0)::numeric) AND (total_debits <= 9999999999999.99)) AND ((total_credits >= '
             '(0)::numeric) AND (total_credits <= 9999999999999.99))))'),
            ('journal_entry',
             'journal_entry_description_length',
             'CHECK (((char_length(description) >= 1) AND (char_length(description) <= 1000)))'),
            ('journal_entry',
             'journal_entry_number_length',
             'CHECK (((char_length(entry_number) >= 1) AND (char_length(entry_number) <= 200)))'),
            ('journal_entry',
             'journal_entry_posted_has_its_time',
             'CHECK (((is_posted = (posted_at IS NOT NULL)) AND (is_posted OR (posted_by IS NULL))))'),
            ('journal_entry',
             'journal_entry_posted_is_balanced',
             'CHECK (((NOT is_posted) OR ((total_debits = total_credits) AND (total_debits > (0)::numeric))))'),
            ('journal_entry',
             'journal_entry_reference_has_a_type',
             'CHECK (((reference_id IS NULL) OR (reference_type IS NOT NULL)))'),
            ('journal_entry',
             'journal_entry_reference_type_is_a_lower_case_word',
             'CHECK ((reference_type ~ ''^[a-z][a-z0-9_]{0,62}$''::text))'),
            ('journal_entry_line',
             'journal_entry_line_pkey',
             'PRIMARY KEY (id)'),
            ('journal_entry_line',
             'journal_entry_line_number_is_unique_in_entry',
             'UNIQUE (journal_entry_id, line_number)'),
            ('journal_entry_line',
             'journal_entry_line_account_id_fkey',
             'FOREIGN KEY (account_id) REFERENCES account(id) DEFERRABLE INITIALLY DEFERRED'),
            ('journal_entry_line',
             'journal_entry_line_journal_entry_id_fkey',
             'FOREIGN KEY (journal_entry_id) REFERENCES journal_entry(id) ON DELETE CASCADE'),
            ('journal_entry_line',
             'journal_entry_line_amounts_not_negative',
             'CHECK ((((COALESCE(debit_amount, (0)::numeric) >= (0)::numeric) AND (COALESCE(debit_amount, (0)::numeric) <= '
             '9999999999999.99)) AND ((COALESCE(credit_amount, (0)::numeric) >= (0)::numeric) AND (COALESCE(credit_amount, '
             '(0)::numeric) <= 9999999999999.99))))'),
            ('journal_entry_line',
             'journal_entry_line_is_debit_or_credit',
             'CHECK (((COALESCE(debit_amount, (0)::numeric) > (0)::numeric) <> (COALESCE(credit_amount, (0)::numeric) > '
             '(0)::numeric)))'),
            ('journal_entry_line',
             'journal_entry_line_number_positive',
             'CHECK ((line_number > 0))')
    ),
    found AS (
        SELECT
            conrelid::regclass::text AS on_table,
            conname::text AS name,
            pg_get_constraintdef(oid) || CASE WHEN convalidated THEN '' ELSE ' (not validated)' END AS definition
        FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace
    )
    SELECT string_agg(format('%s %s, expected %s', expected.name, coalesce(found.definition, 'is missing'), expected.definition), '; ' ORDER BY expected.name)
    INTO wrong
    FROM expected
    LEFT JOIN found USING (on_table, name)
    WHERE found.definition IS DISTINCT FROM expected.definition;
    ASSERT wrong IS NULL, format('constraints differ: %s', wrong);
END
$$;

-- step: indexes are there and valid
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH expected (name, definition) AS (
        VALUES
            ('idx_account_parent',
             'CREATE INDEX idx_account_parent ON public.account USING btree (parent_account_id)'),
            ('idx_tax_rate_org',
             'CREATE INDEX idx_tax_rate_org ON public.tax_rate USING btree (org_id, effective_from)'),
            ('exchange_rate_of_the_house_is_unique_per_day',
             'CREATE UNIQUE INDEX exchange_rate_of_the_house_is_unique_per_day ON public.exchange_rate USING btree '
             '(base_currency, quote_currency, valid_from) WHERE (org_id IS NULL)'),
            ('idx_invoice_created_by',
             'CREATE INDEX idx_invoice_created_by ON public.invoice USING btree (created_by)'),
            ('idx_invoice_customer',
             'CREATE INDEX idx_invoice_customer ON public.invoice USING btree (customer_id)'),
            ('idx_invoice_open',
             'CREATE INDEX idx_invoice_open ON public.invoice USING btree (org_id, due_date) WHERE (amount_due > (0)::numeric)'),
            ('idx_invoice_sales_order',
             'CREATE INDEX idx_invoice_sales_order ON public.invoice USING btree (sales_order_id)'),
            ('idx_invoice_item_invoice',
             'CREATE INDEX idx_invoice_item_invoice ON public.invoice_item USING btree (invoice_id)'),
            ('idx_invoice_item_product',
             'CREATE INDEX idx_invoice_item_product ON public.invoice_item USING btree (product_id)'),
            ('idx_payment_customer',
             'CREATE INDEX idx_payment_customer ON public.payment USING btree (customer_id)'),
            ('idx_payment_invoice',
             'CREATE INDEX idx_payment_invoice ON public.payment USING btree (invoice_id)'),
            ('idx_payment_processed_by',
             'CREATE INDEX idx_payment_processed_by ON public.payment USING btree (processed_by)'),
            ('idx_payment_unallocated',
             'CREATE INDEX idx_payment_unallocated ON public.payment USING btree (org_id, payment_date) WHERE '
             '(amount_allocated < amount)'),
            ('idx_payment_allocation_invoice',
             'CREATE INDEX idx_payment_allocation_invoice ON public.payment_allocation USING btree (invoice_id)'),
            ('idx_payment_allocation_org',
             'CREATE INDEX idx_payment_allocation_org ON public.payment_allocation USING btree (org_id)'),
            ('idx_journal_entry_created_by',
             'CREATE INDEX idx_journal_entry_created_by ON public.journal_entry USING btree (created_by)'),
            ('idx_journal_entry_date',
             'CREATE INDEX idx_journal_entry_date ON public.journal_entry USING btree (org_id, entry_date)'),
            ('idx_journal_entry_posted_by',
             'CREATE INDEX idx_journal_entry_posted_by ON public.journal_entry USING btree (posted_by)'),
            ('idx_journal_entry_reference',
             'CREATE INDEX idx_journal_entry_reference ON public.journal_entry USING btree (reference_type, reference_id)'),
            ('journal_entry_is_reversed_once',
             'CREATE UNIQUE INDEX journal_entry_is_reversed_once ON public.journal_entry USING btree (org_id, reference_id) WHERE '
             '(reference_type = ''reversal''::text)'),
            ('idx_journal_entry_line_account',
             'CREATE INDEX idx_journal_entry_line_account ON public.journal_entry_line USING btree (account_id)')
    ),
    found AS (
        SELECT
            indexrelid::regclass::text AS name,
            pg_get_indexdef(indexrelid) || CASE WHEN indisvalid AND indisready THEN '' ELSE ' (invalid)' END AS definition
        FROM pg_index
    )
    SELECT string_agg(format('%s %s, expected %s', expected.name, coalesce(found.definition, 'is missing'), expected.definition), '; ' ORDER BY expected.name)
    INTO wrong
    FROM expected
    LEFT JOIN found USING (name)
    WHERE found.definition IS DISTINCT FROM expected.definition;
    ASSERT wrong IS NULL, format('indexes differ: %s', wrong);
END
$$;

-- step: every foreign key has an index
SELECT conrelid::regclass AS table_name, conname AS foreign_key
FROM pg_constraint
WHERE contype = 'f'
  AND conrelid::regclass::text = ANY (ARRAY[
      'currency_mapping', 'organization_currency', 'account', 'tax_rate', 'exchange_rate', 'invoice',
      'invoice_item', 'payment', 'payment_allocation', 'journal_entry', 'journal_entry_line'
  ])
  AND NOT EXISTS (
      SELECT FROM pg_index
      WHERE indrelid = conrelid AND indkey[0] = conkey[1] AND indpred IS NULL AND indisvalid
  );

-- step: triggers are there and enabled
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH expected (on_table, name, definition) AS (
        VALUES
            ('organization_currency',
             'touch_updated_at',
             'CREATE TRIGGER touch_updated_at BEFORE UPDATE ON public.organization_currency FOR EACH ROW EXECUTE FUNCTION '
             'touch_updated_at()'),
            ('account',
             'fill_normal_balance',
             'CREATE TRIGGER fill_normal_balance BEFORE INSERT ON public.account FOR EACH ROW EXECUTE FUNCTION '
             'fill_normal_balance()'),
            ('account',
             'keep_account_in_tree',
             'CREATE TRIGGER keep_account_in_tree AFTER INSERT OR UPDATE OF parent_account_id ON public.account FOR EACH ROW '
             'WHEN ((new.parent_account_id IS NOT NULL)) EXECUTE FUNCTION keep_account_in_tree()'),
            ('account',
             'record_audit',
             'CREATE TRIGGER record_audit AFTER INSERT OR DELETE OR UPDATE ON public.account FOR EACH ROW EXECUTE FUNCTION '
             'record_audit()'),
            ('account',
             'refuse_change_of_used_account',
             'CREATE TRIGGER refuse_change_of_used_account AFTER DELETE OR UPDATE OF id, account_type, normal_balance ON '
             'public.account FOR EACH ROW EXECUTE FUNCTION refuse_change_of_used_account()'),
            ('account',
             'same_organization',
             'CREATE CONSTRAINT TRIGGER same_organization AFTER INSERT OR UPDATE OF parent_account_id ON public.account NOT '
             'DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(''org_id'', '
             '''parent_account_id account'')'),
            ('account',
             'stay_in_organization',
             'CREATE TRIGGER stay_in_organization BEFORE UPDATE OF org_id ON public.account FOR EACH ROW WHEN ((new.org_id IS '
             'DISTINCT FROM old.org_id)) EXECUTE FUNCTION stay_in_organization()'),
            ('account',
             'touch_updated_at',
             'CREATE TRIGGER touch_updated_at BEFORE UPDATE ON public.account FOR EACH ROW EXECUTE FUNCTION touch_updated_at()'),
            ('tax_rate',
             'record_audit',
             'CREATE TRIGGER record_audit AFTER INSERT OR DELETE OR UPDATE ON public.tax_rate FOR EACH ROW EXECUTE FUNCTION '
             'record_audit()'),
            ('tax_rate',
             'stay_in_organization',
             'CREATE TRIGGER stay_in_organization BEFORE UPDATE OF org_id ON public.tax_rate FOR EACH ROW WHEN ((new.org_id '
             'IS DISTINCT FROM old.org_id)) EXECUTE FUNCTION stay_in_organization()'),
            ('tax_rate',
             'touch_updated_at',
             'CREATE TRIGGER touch_updated_at BEFORE UPDATE ON public.tax_rate FOR EACH ROW EXECUTE FUNCTION '
             'touch_updated_at()'),
            ('exchange_rate',
             'record_audit',
             'CREATE TRIGGER record_audit AFTER INSERT OR DELETE OR UPDATE ON public.exchange_rate FOR EACH ROW EXECUTE '
             'FUNCTION record_audit()'),
            ('exchange_rate',
             'stay_in_organization',
             'CREATE TRIGGER stay_in_organization BEFORE UPDATE OF org_id ON public.exchange_rate FOR EACH ROW WHEN '
             '((new.org_id IS DISTINCT FROM old.org_id)) EXECUTE FUNCTION stay_in_organization()'),
            ('exchange_rate',
             'touch_updated_at',
             'CREATE TRIGGER touch_updated_at BEFORE UPDATE ON public.exchange_rate FOR EACH ROW EXECUTE FUNCTION '
             'touch_updated_at()'),
            ('invoice',
             'assign_document_number',
             'CREATE TRIGGER assign_document_number BEFORE INSERT ON public.invoice FOR EACH ROW EXECUTE FUNCTION '
             'assign_document_number(''invoice'', ''invoice_number'')'),
            ('invoice',
             'keep_invoice_amounts',
             'CREATE TRIGGER keep_invoice_amounts BEFORE INSERT OR UPDATE ON public.invoice FOR EACH ROW EXECUTE FUNCTION '
             'keep_invoice_amounts()'),
            ('invoice',
             'record_audit',
             'CREATE TRIGGER record_audit AFTER INSERT OR DELETE OR UPDATE OF id, org_id, customer_id, sales_order_id, '
             'invoice_number, status, currency, discount_amount, amount_paid, invoice_date, due_date, payment_terms, '
             'billing_address, notes, sent_at, viewed_at, first_payment_at, created_by ON public.invoice FOR EACH ROW EXECUTE '
             'FUNCTION record_audit()'),
            ('invoice',
             'refuse_missing_currency',
             'CREATE TRIGGER refuse_missing_currency BEFORE INSERT ON public.invoice FOR EACH ROW EXECUTE FUNCTION '
             'refuse_missing_currency()'),
            ('invoice',
             'same_organization',
             'CREATE CONSTRAINT TRIGGER same_organization AFTER INSERT OR UPDATE OF customer_id, sales_order_id, created_by '
             'ON public.invoice NOT DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION '
             'must_be_of_same_organization(''org_id'', ''customer_id customer'', ''sales_order_id sales_order'', ''created_by '
             'profile'')'),
            ('invoice',
             'stay_in_organization',
             'CREATE TRIGGER stay_in_organization BEFORE UPDATE OF org_id ON public.invoice FOR EACH ROW WHEN ((new.org_id IS '
             'DISTINCT FROM old.org_id)) EXECUTE FUNCTION stay_in_organization()'),
            ('invoice',
             'touch_updated_at',
             'CREATE TRIGGER touch_updated_at BEFORE UPDATE ON public.invoice FOR EACH ROW EXECUTE FUNCTION touch_updated_at()'),
            ('invoice_item',
             'carry_totals_of_deleted',
             'CREATE TRIGGER carry_totals_of_deleted AFTER DELETE ON public.invoice_item REFERENCING OLD TABLE AS '
             'items_before FOR EACH STATEMENT EXECUTE FUNCTION carry_totals_to_header(''invoice'', ''invoice_id'')'),
            ('invoice_item',
             'carry_totals_of_inserted',
             'CREATE TRIGGER carry_totals_of_inserted AFTER INSERT ON public.invoice_item REFERENCING NEW TABLE AS '
             'items_after FOR EACH STATEMENT EXECUTE FUNCTION carry_totals_to_header(''invoice'', ''invoice_id'')'),
            ('invoice_item',
             'carry_totals_of_truncated',
             'CREATE TRIGGER carry_totals_of_truncated AFTER TRUNCATE ON public.invoice_item FOR EACH STATEMENT EXECUTE '
             'FUNCTION carry_totals_to_header(''invoice'', ''invoice_id'')'),
            ('invoice_item',
             'carry_totals_of_updated',
             'CREATE TRIGGER carry_totals_of_updated AFTER UPDATE ON public.invoice_item REFERENCING OLD TABLE AS '
             'items_before NEW TABLE AS items_after FOR EACH STATEMENT EXECUTE FUNCTION carry_totals_to_header(''invoice'', '
             '''invoice_id'')'),
            ('invoice_item',
             'keep_invoice_line_total',
             'CREATE TRIGGER keep_invoice_line_total BEFORE INSERT OR UPDATE ON public.invoice_item FOR EACH ROW EXECUTE '
             'FUNCTION keep_invoice_line_total()'),
            ('invoice_item',
             'record_audit',
             'CREATE TRIGGER record_audit AFTER INSERT OR DELETE OR UPDATE ON public.invoice_item FOR EACH ROW EXECUTE '
             'FUNCTION record_audit(''invoice_id invoice'')'),
            ('invoice_item',
             'same_organization',
             'CREATE CONSTRAINT TRIGGER same_organization AFTER INSERT OR UPDATE OF invoice_id, product_id ON '
             'public.invoice_item NOT DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION '
             'must_be_of_same_organization(''invoice_id invoice'', ''product_id product'')'),
            ('payment',
             'assign_document_number',
             'CREATE TRIGGER assign_document_number BEFORE INSERT ON public.payment FOR EACH ROW EXECUTE FUNCTION '
             'assign_document_number(''payment'', ''payment_number'')'),
            ('payment',
             'keep_payment_amounts',
             'CREATE TRIGGER keep_payment_amounts BEFORE INSERT OR UPDATE ON public.payment FOR EACH ROW EXECUTE FUNCTION '
             'keep_payment_amounts()'),
            ('payment',
             'record_audit',
             'CREATE TRIGGER record_audit AFTER INSERT OR DELETE OR UPDATE OF id, org_id, customer_id, invoice_id, '
             'payment_number, amount, currency, payment_method, status, payment_date, reference_number, '
             'gateway_transaction_id, gateway_response, notes, processed_by ON public.payment FOR EACH ROW EXECUTE FUNCTION '
             'record_audit(''gateway_response'')'),
            ('payment',
             'refuse_missing_currency',
             'CREATE TRIGGER refuse_missing_currency BEFORE INSERT ON public.payment FOR EACH ROW EXECUTE FUNCTION '
             'refuse_missing_currency()'),
            ('payment',
             'same_organization',
             'CREATE CONSTRAINT TRIGGER same_organization AFTER INSERT OR UPDATE OF customer_id, invoice_id, processed_by ON '
             'public.payment NOT DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION '
             'must_be_of_same_organization(''org_id'', ''customer_id customer'', ''invoice_id invoice'', ''processed_by '
             'profile'')'),
            ('payment',
             'refuse_finer_payment',
             'CREATE TRIGGER refuse_finer_payment AFTER INSERT OR UPDATE OF amount, currency ON public.payment FOR EACH ROW '
             'EXECUTE FUNCTION refuse_finer_payment()'),
            ('payment',
             'settle_payment',
             'CREATE TRIGGER settle_payment AFTER INSERT OR UPDATE OF status, invoice_id ON public.payment FOR EACH ROW '
             'EXECUTE FUNCTION settle_payment()'),
            ('payment',
             'stay_in_organization',
             'CREATE TRIGGER stay_in_organization BEFORE UPDATE OF org_id ON public.payment FOR EACH ROW WHEN ((new.org_id IS '
             'DISTINCT FROM old.org_id)) EXECUTE FUNCTION stay_in_organization()'),
            ('payment',
             'touch_updated_at',
             'CREATE TRIGGER touch_updated_at BEFORE UPDATE ON public.payment FOR EACH ROW EXECUTE FUNCTION touch_updated_at()'),
            ('payment_allocation',
             'record_audit',
             'CREATE TRIGGER record_audit AFTER INSERT OR DELETE OR UPDATE ON public.payment_allocation FOR EACH ROW EXECUTE '
             'FUNCTION record_audit()'),
            ('payment_allocation',
             'same_organization',
             'CREATE CONSTRAINT TRIGGER same_organization AFTER INSERT OR UPDATE OF payment_id, invoice_id ON '
             'public.payment_allocation NOT DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION '
             'must_be_of_same_organization(''org_id'', ''payment_id payment'', ''invoice_id invoice'')'),
            ('payment_allocation',
             'stay_in_organization',
             'CREATE TRIGGER stay_in_organization BEFORE UPDATE OF org_id ON public.payment_allocation FOR EACH ROW WHEN '
             '((new.org_id IS DISTINCT FROM old.org_id)) EXECUTE FUNCTION stay_in_organization()'),
            ('payment_allocation',
             'sum_up_allocations',
             'CREATE TRIGGER sum_up_allocations AFTER INSERT OR DELETE OR UPDATE ON public.payment_allocation FOR EACH ROW '
             'EXECUTE FUNCTION keep_allocated_amounts()'),
            ('payment_allocation',
             'sum_up_allocations_when_emptied',
             'CREATE TRIGGER sum_up_allocations_when_emptied AFTER TRUNCATE ON public.payment_allocation FOR EACH STATEMENT '
             'EXECUTE FUNCTION keep_allocated_amounts()'),
            ('payment_allocation',
             'touch_updated_at',
             'CREATE TRIGGER touch_updated_at BEFORE UPDATE ON public.payment_allocation FOR EACH ROW EXECUTE FUNCTION '
             'touch_updated_at()'),
            ('journal_entry',
             'assign_document_number',
             'CREATE TRIGGER assign_document_number BEFORE INSERT ON public.journal_entry FOR EACH ROW EXECUTE FUNCTION '
             'assign_document_number(''journal_entry'', ''entry_number'')'),
            ('journal_entry',
             'keep_journal_entry',
             'CREATE TRIGGER keep_journal_entry BEFORE INSERT OR DELETE OR UPDATE ON public.journal_entry FOR EACH ROW '
             'EXECUTE FUNCTION keep_journal_entry()'),
            ('journal_entry',
             'record_audit',
             'CREATE TRIGGER record_audit AFTER INSERT OR DELETE OR UPDATE OF id, org_id, entry_number, description, '
             'entry_date, reference_type, reference_id, is_posted, posted_at, posted_by, created_by, currency ON '
             'public.journal_entry FOR EACH ROW EXECUTE FUNCTION record_audit()'),
            ('journal_entry',
             'refuse_missing_currency',
             'CREATE TRIGGER refuse_missing_currency BEFORE INSERT ON public.journal_entry FOR EACH ROW EXECUTE FUNCTION '
             'refuse_missing_currency()'),
            ('journal_entry',
             'refuse_truncate_of_posted',
             'CREATE TRIGGER refuse_truncate_of_posted BEFORE TRUNCATE ON public.journal_entry FOR EACH STATEMENT EXECUTE '
             'FUNCTION refuse_truncate_of_posted()'),
            ('journal_entry',
             'same_organization',
             'CREATE CONSTRAINT TRIGGER same_organization AFTER INSERT OR UPDATE OF posted_by, created_by ON '
             'public.journal_entry NOT DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION '
             'must_be_of_same_organization(''org_id'', ''posted_by profile'', ''created_by profile'')'),
            ('journal_entry',
             'stay_in_organization',
             'CREATE TRIGGER stay_in_organization BEFORE UPDATE OF org_id ON public.journal_entry FOR EACH ROW WHEN '
             '((new.org_id IS DISTINCT FROM old.org_id)) EXECUTE FUNCTION stay_in_organization()'),
            ('journal_entry',
             'verify_posted_entry',
             'CREATE TRIGGER verify_posted_entry AFTER INSERT OR UPDATE ON public.journal_entry FOR EACH ROW EXECUTE FUNCTION '
             'verify_posted_entry()'),
            ('journal_entry_line',
             'keep_journal_totals',
             'CREATE TRIGGER keep_journal_totals AFTER INSERT OR DELETE OR UPDATE ON public.journal_entry_line FOR EACH ROW '
             'EXECUTE FUNCTION keep_journal_totals()'),
            ('journal_entry_line',
             'keep_journal_totals_when_emptied',
             'CREATE TRIGGER keep_journal_totals_when_emptied AFTER TRUNCATE ON public.journal_entry_line FOR EACH STATEMENT '
             'EXECUTE FUNCTION keep_journal_totals_when_emptied()'),
            ('journal_entry_line',
             'record_audit',
             'CREATE TRIGGER record_audit AFTER INSERT OR DELETE OR UPDATE ON public.journal_entry_line FOR EACH ROW EXECUTE '
             'FUNCTION record_audit(''journal_entry_id journal_entry'')'),
            ('journal_entry_line',
             'refuse_truncate_of_posted',
             'CREATE TRIGGER refuse_truncate_of_posted BEFORE TRUNCATE ON public.journal_entry_line FOR EACH STATEMENT '
             'EXECUTE FUNCTION refuse_truncate_of_posted()'),
            ('journal_entry_line',
             'same_organization',
             'CREATE CONSTRAINT TRIGGER same_organization AFTER INSERT OR UPDATE OF journal_entry_id, account_id ON '
             'public.journal_entry_line NOT DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION '
             'must_be_of_same_organization(''journal_entry_id journal_entry'', ''account_id account'')'),
            ('customer',
             'fill_currency',
             'CREATE TRIGGER fill_currency BEFORE INSERT ON public.customer FOR EACH ROW EXECUTE FUNCTION '
             'fill_currency_of_organization()'),
            ('customer',
             'refuse_missing_currency',
             'CREATE TRIGGER refuse_missing_currency BEFORE INSERT ON public.customer FOR EACH ROW EXECUTE FUNCTION '
             'refuse_missing_currency()'),
            ('customer',
             'stay_in_organization_with_invoices',
             'CREATE TRIGGER stay_in_organization_with_invoices BEFORE UPDATE OF org_id ON public.customer FOR EACH ROW WHEN '
             '((new.org_id IS DISTINCT FROM old.org_id)) EXECUTE FUNCTION stay_in_organization(''invoice customer_id'', '
             '''payment customer_id'')'),
            ('inventory_item',
             'fill_currency',
             'CREATE TRIGGER fill_currency BEFORE INSERT ON public.inventory_item FOR EACH ROW EXECUTE FUNCTION '
             'fill_currency_of_organization()'),
            ('inventory_item',
             'refuse_missing_currency',
             'CREATE TRIGGER refuse_missing_currency BEFORE INSERT ON public.inventory_item FOR EACH ROW EXECUTE FUNCTION '
             'refuse_missing_currency()'),
            ('organization',
             'give_default_accounts',
             'CREATE TRIGGER give_default_accounts AFTER INSERT ON public.organization FOR EACH ROW EXECUTE FUNCTION '
             'give_default_accounts()'),
            ('organization',
             'keep_organization_currency',
             'CREATE TRIGGER keep_organization_currency AFTER INSERT OR UPDATE OF settings ON public.organization FOR EACH '
             'ROW EXECUTE FUNCTION keep_organization_currency()'),
            ('purchase_order',
             'fill_currency',
             'CREATE TRIGGER fill_currency BEFORE INSERT ON public.purchase_order FOR EACH ROW EXECUTE FUNCTION '
             'fill_currency_of_organization()'),
            ('purchase_order',
             'pass_currency_to_lines',
             'CREATE TRIGGER pass_currency_to_lines AFTER UPDATE OF currency ON public.purchase_order FOR EACH ROW WHEN '
             '((old.currency IS DISTINCT FROM new.currency)) EXECUTE FUNCTION pass_currency_to_lines()'),
            ('purchase_order',
             'refuse_missing_currency',
             'CREATE TRIGGER refuse_missing_currency BEFORE INSERT ON public.purchase_order FOR EACH ROW EXECUTE FUNCTION '
             'refuse_missing_currency()'),
            ('purchase_order_item',
             'fill_currency',
             'CREATE TRIGGER fill_currency BEFORE INSERT OR UPDATE OF currency, purchase_order_id ON '
             'public.purchase_order_item FOR EACH ROW EXECUTE FUNCTION fill_currency_of_order()'),
            ('purchase_order_item',
             'refuse_missing_currency',
             'CREATE TRIGGER refuse_missing_currency BEFORE INSERT ON public.purchase_order_item FOR EACH ROW EXECUTE '
             'FUNCTION refuse_missing_currency()'),
            ('purchase_order_item',
             'refuse_other_currency',
             'CREATE TRIGGER refuse_other_currency AFTER INSERT OR UPDATE OF currency, purchase_order_id ON '
             'public.purchase_order_item FOR EACH ROW EXECUTE FUNCTION refuse_other_currency()')
    ),
    found AS (
        SELECT
            tgrelid::regclass::text AS on_table,
            tgname::text AS name,
            pg_get_triggerdef(oid) || CASE WHEN tgenabled = 'O' THEN '' ELSE ' (switched off)' END AS definition
        FROM pg_trigger
        WHERE NOT tgisinternal
    )
    SELECT string_agg(format('%s %s, expected %s', expected.on_table || '.' || expected.name, coalesce(found.definition, 'is missing'), expected.definition), '; ' ORDER BY expected.on_table || '.' || expected.name)
    INTO wrong
    FROM expected
    LEFT JOIN found USING (on_table, name)
    WHERE found.definition IS DISTINCT FROM expected.definition;
    ASSERT wrong IS NULL, format('triggers differ: %s', wrong);
END
$$;

-- step: functions are there
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH expected (name, form) AS (
        VALUES
            ('convert_amount(numeric,currency_code,currency_code,date,uuid)',
             'invoker, stable, returns numeric, search_path=public, pg_temp, for authenticated'),
            ('create_default_accounts(uuid)',
             'invoker, volatile, returns integer, search_path=public, pg_temp, for authenticated'),
            ('currency_minor_units(currency_code)',
             'invoker, stable, returns integer, for authenticated'),
            ('currency_of_settings(jsonb)',
             'invoker, stable, returns record, search_path=public, pg_temp, for nobody'),
            ('decide_currency(text,currency_code,text)',
             'invoker, volatile, returns bigint, search_path=public, pg_temp, for nobody'),
            ('default_accounts(uuid)',
             'invoker, volatile, returns TABLE(id uuid, org_id uuid, code text, name text, account_type text, normal_balance '
             'text, parent_account_id uuid), search_path=public, pg_temp, for authenticated'),
            ('fill_currency_of_order()',
             'definer, volatile, returns trigger, search_path=public, pg_temp, for nobody'),
            ('fill_currency_of_organization()',
             'definer, volatile, returns trigger, search_path=public, pg_temp, for nobody'),
            ('fill_normal_balance()',
             'invoker, volatile, returns trigger, for nobody'),
            ('give_default_accounts()',
             'definer, volatile, returns trigger, search_path=public, pg_temp, for nobody'),
            ('keep_account_in_tree()',
             'definer, volatile, returns trigger, search_path=public, pg_temp, for nobody'),
            ('keep_allocated_amounts()',
             'definer, volatile, returns trigger, search_path=public, pg_temp, for nobody'),
            ('keep_invoice_amounts()',
             'definer, volatile, returns trigger, search_path=public, pg_temp, for nobody'),
            ('keep_invoice_line_total()',
             'definer, volatile, returns trigger, search_path=public, pg_temp, for nobody'),
            ('keep_journal_entry()',
             'definer, volatile, returns trigger, search_path=public, pg_temp, for nobody'),
            ('keep_journal_totals()',
             'definer, volatile, returns trigger, search_path=public, pg_temp, for nobody'),
            ('keep_journal_totals_when_emptied()',
             'definer, volatile, returns trigger, search_path=public, pg_temp, for nobody'),
            ('keep_organization_currency()',
             'definer, volatile, returns trigger, search_path=public, pg_temp, for nobody'),
            ('keep_payment_amounts()',
             'definer, volatile, returns trigger, search_path=public, pg_temp, for nobody'),
            ('organization_currency(uuid)',
             'invoker, stable, returns currency_code, search_path=public, pg_temp, for authenticated'),
            ('organization_currency_of_settings(uuid)',
             'invoker, stable, returns currency_code, search_path=public, pg_temp, for authenticated'),
            ('pass_currency_to_lines()',
             'definer, volatile, returns trigger, search_path=public, pg_temp, for nobody'),
            ('post_journal_entry(uuid)',
             'invoker, volatile, returns journal_entry, search_path=public, pg_temp, for authenticated'),
            ('refuse_change_of_used_account()',
             'definer, volatile, returns trigger, search_path=public, pg_temp, for nobody'),
            ('refuse_finer_payment()',
             'definer, volatile, returns trigger, search_path=public, pg_temp, for nobody'),
            ('refuse_missing_currency()',
             'invoker, volatile, returns trigger, search_path=public, pg_temp, for nobody'),
            ('refuse_other_currency()',
             'definer, volatile, returns trigger, search_path=public, pg_temp, for nobody'),
            ('refuse_truncate_of_posted()',
             'definer, volatile, returns trigger, search_path=public, pg_temp, for nobody'),
            ('reverse_journal_entry(uuid,date,text)',
             'invoker, volatile, returns uuid, search_path=public, pg_temp, for authenticated'),
            ('round_money(numeric,currency_code)',
             'invoker, stable, returns numeric, for authenticated'),
            ('settle_payment()',
             'definer, volatile, returns trigger, search_path=public, pg_temp, for nobody'),
            ('verify_posted_entry()',
             'definer, volatile, returns trigger, search_path=public, pg_temp, for nobody')
    ),
    found AS (
        SELECT
            oid::regprocedure::text AS name,
            concat_ws(
                ', ',
                CASE WHEN prosecdef THEN 'definer' ELSE 'invoker' END,
                CASE provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END,
                'returns ' || pg_get_function_result(oid),
                array_to_string(proconfig, '; '),
                'for ' || coalesce(
                    (
                        SELECT string_agg(role, ' and ' ORDER BY role)
                        FROM unnest(ARRAY['anon', 'authenticated']) AS role
                        WHERE has_function_privilege(role, pg_proc.oid, 'EXECUTE')
                    ),
                    'nobody'
                )
            ) AS form
        FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace
    )
    SELECT string_agg(format('%s %s, expected %s', expected.name, coalesce(found.form, 'is missing'), expected.form), '; ' ORDER BY expected.name)
    INTO wrong
    FROM expected
    LEFT JOIN found USING (name)
    WHERE found.form IS DISTINCT FROM expected.form;
    ASSERT wrong IS NULL, format('functions differ: %s', wrong);
END
$$;

-- step: tenants are kept apart
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH expected (on_table, name, rule) AS (
        VALUES
            ('currency_mapping',
             'currency_mapping_kept_by_service_role',
             'ALL to service_role using true check true'),
            ('organization_currency',
             'tenant_isolation',
             'SELECT to authenticated using (org_id = ( SELECT tenant_org_id() AS tenant_org_id))'),
            ('account',
             'tenant_isolation',
             'ALL to authenticated using (org_id = ( SELECT tenant_org_id() AS tenant_org_id)) check (org_id = ( SELECT '
             'tenant_org_id() AS tenant_org_id))'),
            ('tax_rate',
             'tenant_isolation',
             'ALL to authenticated using (org_id = ( SELECT tenant_org_id() AS tenant_org_id)) check (org_id = ( SELECT '
             'tenant_org_id() AS tenant_org_id))'),
            ('exchange_rate',
             'exchange_rate_of_the_house_is_read_by_all',
             'SELECT to authenticated using ((org_id IS NULL) AND (( SELECT tenant_org_id() AS tenant_org_id) IS NOT NULL))'),
            ('exchange_rate',
             'tenant_isolation',
             'ALL to authenticated using (org_id = ( SELECT tenant_org_id() AS tenant_org_id)) check (org_id = ( SELECT '
             'tenant_org_id() AS tenant_org_id))'),
            ('invoice',
             'tenant_isolation',
             'ALL to authenticated using (org_id = ( SELECT tenant_org_id() AS tenant_org_id)) check (org_id = ( SELECT '
             'tenant_org_id() AS tenant_org_id))'),
            ('invoice_item',
             'tenant_isolation',
             'ALL to authenticated using (EXISTS ( SELECT
   FROM invoice i
  WHERE ((i.id = invoice_item.invoice_id) AND '
             '(i.org_id = ( SELECT tenant_org_id() AS tenant_org_id))))) check (EXISTS ( SELECT
   FROM invoice i
  WHERE '
             '((i.id = invoice_item.invoice_id) AND (i.org_id = ( SELECT tenant_org_id() AS tenant_org_id)))))'),
            ('payment',
             'tenant_isolation',
             'ALL to authenticated using (org_id = ( SELECT tenant_org_id() AS tenant_org_id)) check (org_id = ( SELECT '
             'tenant_org_id() AS tenant_org_id))'),
            ('payment_allocation',
             'tenant_isolation',
             'ALL to authenticated using (org_id = ( SELECT tenant_org_id() AS tenant_org_id)) check (org_id = ( SELECT '
             'tenant_org_id() AS tenant_org_id))'),
            ('journal_entry',
             'tenant_isolation',
             'ALL to authenticated using (org_id = ( SELECT tenant_org_id() AS tenant_org_id)) check (org_id = ( SELECT '
             'tenant_org_id() AS tenant_org_id))'),
            ('journal_entry_line',
             'tenant_isolation',
             'ALL to authenticated using (EXISTS ( SELECT
   FROM journal_entry e
  WHERE ((e.id = '
             'journal_entry_line.journal_entry_id) AND (e.org_id = ( SELECT tenant_org_id() AS tenant_org_id))))) check '
             '(EXISTS ( SELECT
   FROM journal_entry e
  WHERE ((e.id = journal_entry_line.journal_entry_id) AND (e.org_id = '
             '( SELECT tenant_org_id() AS tenant_org_id)))))')
    ),
    found AS (
        SELECT
            tablename::text AS on_table,
            policyname::text AS name,
            cmd || ' to ' || array_to_string(roles, ', ') || coalesce(' using ' || qual, '') || coalesce(' check ' || with_check, '') AS rule
        FROM pg_policies
        WHERE schemaname = 'public'
    )
    SELECT string_agg(format('%s %s, expected %s', expected.on_table || '.' || expected.name, coalesce(found.rule, 'is missing'), expected.rule), '; ' ORDER BY expected.on_table || '.' || expected.name)
    INTO wrong
    FROM expected
    LEFT JOIN found USING (on_table, name)
    WHERE found.rule IS DISTINCT FROM expected.rule;
    ASSERT wrong IS NULL, format('policies differ: %s', wrong);
END
$$;

-- step: rights are as granted
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH expected (name, rights) AS (
        VALUES
            ('currency_mapping',
             ''),
            ('organization_currency',
             'authenticated SELECT'),
            ('account',
             'authenticated DELETE, authenticated INSERT, authenticated SELECT, authenticated UPDATE'),
            ('tax_rate',
             'authenticated DELETE, authenticated INSERT, authenticated SELECT, authenticated UPDATE'),
            ('exchange_rate',
             'authenticated DELETE, authenticated INSERT, authenticated SELECT, authenticated UPDATE'),
            ('invoice',
             'authenticated DELETE, authenticated INSERT, authenticated SELECT, authenticated UPDATE'),
            ('invoice_item',
             'authenticated DELETE, authenticated INSERT, authenticated SELECT, authenticated UPDATE'),
            ('payment',
             'authenticated DELETE, authenticated INSERT, authenticated SELECT, authenticated UPDATE'),
            ('payment_allocation',
             'authenticated DELETE, authenticated INSERT, authenticated SELECT, authenticated UPDATE'),
            ('journal_entry',
             'authenticated DELETE, authenticated INSERT, authenticated SELECT, authenticated UPDATE'),
            ('journal_entry_line',
             'authenticated DELETE, authenticated INSERT, authenticated SELECT, authenticated UPDATE')
    ),
    found AS (
        SELECT
            relname::text AS name,
            CASE WHEN relrowsecurity THEN '' ELSE 'without row security, ' END || coalesce(
                (
                    SELECT string_agg(role || ' ' || privilege, ', ' ORDER BY role, privilege)
                    FROM unnest(ARRAY['anon', 'authenticated']) AS role,
                        unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS privilege
                    WHERE has_table_privilege(role, pg_class.oid, privilege)
                ),
                ''
            ) AS rights
        FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
    )
    SELECT string_agg(format('%s %s, expected %s', name, coalesce(found.rights, 'is missing'), expected.rights), '; ' ORDER BY name)
    INTO wrong
    FROM expected
    LEFT JOIN found USING (name)
    WHERE found.rights IS DISTINCT FROM expected.rights;
    ASSERT wrong IS NULL, format('rights differ: %s', wrong);
END
$$;

-- step: what they are for is written down
SELECT relname AS table_name, 'no comment' AS missing
FROM pg_class
WHERE relname = ANY (ARRAY[
      'currency_mapping', 'organization_currency', 'account', 'tax_rate', 'exchange_rate', 'invoice',
      'invoice_item', 'payment', 'payment_allocation', 'journal_entry', 'journal_entry_line'
  ])
  AND relnamespace = 'public'::regnamespace
  AND obj_description(oid, 'pg_class') IS NULL
UNION ALL
SELECT format('%s.%s', relname, attname), 'no comment that begins with money:'
FROM pg_class
JOIN pg_attribute ON attrelid = pg_class.oid
WHERE relname = ANY (ARRAY[
      'currency_mapping', 'organization_currency', 'account', 'tax_rate', 'exchange_rate', 'invoice',
      'invoice_item', 'payment', 'payment_allocation', 'journal_entry', 'journal_entry_line'
  ])
  AND relnamespace = 'public'::regnamespace
  AND attnum > 0
  AND attname ~ '(amount|total|subtotal|unit_price|debits|credits)'
  AND attname <> 'total_price'
  AND atttypid = 'numeric'::regtype
  AND coalesce(col_description(pg_class.oid, attnum), '') !~ '^money: ';

-- step: every organisation has a currency and accounts
SELECT id AS organization, 'no currency on record' AS missing
FROM organization AS o
WHERE NOT EXISTS (SELECT FROM organization_currency AS k WHERE k.org_id = o.id)
UNION ALL
SELECT id, 'no accounts'
FROM organization AS o
WHERE NOT EXISTS (SELECT FROM account AS a WHERE a.org_id = o.id);

-- step: lines of purchase orders have their order's currency
SELECT i.id AS purchase_order_item, i.currency, o.currency AS currency_of_order
FROM purchase_order_item AS i
JOIN purchase_order AS o ON o.id = i.purchase_order_id
WHERE i.currency <> o.currency;

-- step: invoices are the sums of their lines and payments
SELECT i.id AS invoice, i.subtotal, lines.net, i.tax_amount, lines.tax, i.amount_paid, paid.amount
FROM invoice AS i
CROSS JOIN LATERAL (
    SELECT coalesce(sum(l.line_total), 0) AS net, coalesce(sum(round_money(l.line_total * l.tax_rate * 0.01, i.currency)), 0) AS tax
    FROM invoice_item AS l
    WHERE l.invoice_id = i.id
) AS lines
CROSS JOIN LATERAL (
    SELECT coalesce(sum(a.amount), 0) AS amount
    FROM payment_allocation AS a
    JOIN payment AS p ON p.id = a.payment_id
    WHERE a.invoice_id = i.id AND p.status = 'completed'
) AS paid
WHERE i.subtotal <> lines.net
   OR i.tax_amount <> lines.tax
   OR i.amount_paid <> paid.amount;

-- step: payments are allocated once
SELECT p.id AS payment, p.amount, p.amount_allocated, coalesce(sum(a.amount), 0) AS allocated
FROM payment AS p
LEFT JOIN payment_allocation AS a ON a.payment_id = p.id
GROUP BY p.id
HAVING p.amount_allocated <> coalesce(sum(a.amount), 0)
    OR coalesce(sum(a.amount), 0) > p.amount;

-- step: journal entries are the sums of their lines, and posted ones balance
SELECT e.id AS journal_entry, e.is_posted, e.total_debits, e.total_credits, lines.debits, lines.credits
FROM journal_entry AS e
CROSS JOIN LATERAL (
    SELECT coalesce(sum(l.debit_amount), 0) AS debits, coalesce(sum(l.credit_amount), 0) AS credits
    FROM journal_entry_line AS l
    WHERE l.journal_entry_id = e.id
) AS lines
WHERE e.total_debits <> lines.debits
   OR e.total_credits <> lines.credits
   OR (e.is_posted AND (lines.debits <> lines.credits OR lines.debits = 0));

-- step: rounding and conversion are as defined
DO $$
DECLARE
    wrong  text;
BEGIN
    SELECT string_agg(format('%s %s gave %s, expected %s', amount, currency, round_money(amount, currency), expected), '; ')
    INTO wrong
    FROM (VALUES
        (2.345, 'USD'::currency_code, 2.35),
        (-2.345, 'USD', -2.35),
        (2.3449999, 'EUR', 2.34),
        (100.5, 'JPY', 101),
        (-100.5, 'JPY', -101),
        (100.49, 'JPY', 100)
    ) AS rounded (amount, currency, expected)
    WHERE round_money(amount, currency) IS DISTINCT FROM expected;
    ASSERT wrong IS NULL, format('rounding differs: %s', wrong);

    -- Undone with everything in it: the last statement of the block raises.
    BEGIN
        INSERT INTO exchange_rate (base_currency, quote_currency, rate, valid_from) VALUES
            ('CHF', 'BRL', 3, '0001-01-01'),
            ('CHF', 'BRL', 4, '0001-02-01');
        SELECT string_agg(format('%s %s on %s gave %s, expected %s', amount, source, day, converted, expected), '; ')
        INTO wrong
        FROM (VALUES
            (10.00, 'CHF'::currency_code, 'BRL'::currency_code, '0001-01-31'::date, 30.00),
            (10.00, 'CHF', 'BRL', '0001-02-01', 40.00),
            (10.00, 'BRL', 'CHF', '0001-01-31', 3.33),
            (-0.02, 'BRL', 'CHF', '0001-02-01', -0.01)
        ) AS asked (amount, source, target, day, expected)
        CROSS JOIN LATERAL convert_amount(amount, source, target, day) AS converted
        WHERE converted IS DISTINCT FROM expected;
        ASSERT wrong IS NULL, format('conversion differs: %s', wrong);

        BEGIN
            PERFORM convert_amount(1, 'CHF', 'BRL', '0001-12-31 BC');
            ASSERT false, 'convert_amount() guesses a rate that nobody entered';
        EXCEPTION
            WHEN no_data_found THEN NULL;
        END;
        RAISE EXCEPTION USING ERRCODE = 'MRV03';
    EXCEPTION
        WHEN SQLSTATE 'MRV03' THEN NULL;
    END;
END
$$;

-- step: the journal refuses what it must refuse
DO $$
DECLARE
    writer   record;
    entry    uuid;
    unposted uuid;
    debited  uuid;
    credited uuid;
    attempt  text;
    refused  boolean;
BEGIN
    -- A user of an organisation with two accounts; without one there is nobody to try it for. Its currency may wait for a
    -- decision since, so the entries name one.
    SELECT p.id, p.org_id
    INTO writer
    FROM profile AS p
    WHERE (SELECT count(*) FROM account AS a WHERE a.org_id = p.org_id) > 1
      AND EXISTS (SELECT FROM organization_currency AS k WHERE k.org_id = p.org_id AND k.currency IS NOT NULL)
    LIMIT 1;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    SELECT (array_agg(id))[1], (array_agg(id))[2] INTO debited, credited FROM account WHERE org_id = writer.org_id;

    BEGIN
        INSERT INTO journal_entry (org_id, entry_number, description, currency, created_by)
        VALUES (writer.org_id, 'validation ' || gen_random_uuid(), 'validation', 'EUR', writer.id)
        RETURNING id INTO entry;
        INSERT INTO journal_entry (org_id, entry_number, description, currency, created_by)
        VALUES (writer.org_id, 'validation ' || gen_random_uuid(), 'validation', 'EUR', writer.id)
        RETURNING id INTO unposted;
        INSERT INTO journal_entry_line (journal_entry_id, account_id, debit_amount, line_number) VALUES (entry, debited, 100, 1);

        BEGIN
            PERFORM post_journal_entry(entry);
            ASSERT false, 'an entry that does not balance can be posted';
        EXCEPTION
            WHEN check_violation THEN NULL;
        END;

        INSERT INTO journal_entry_line (journal_entry_id, account_id, credit_amount, line_number) VALUES (entry, credited, 100, 2);
        PERFORM post_journal_entry(entry);

        FOREACH attempt IN ARRAY ARRAY[
            'UPDATE journal_entry SET description = ''changed'' WHERE id = $1',
            'UPDATE journal_entry SET is_posted = false WHERE id = $1',
            'DELETE FROM journal_entry WHERE id = $1',
            'UPDATE journal_entry_line SET description = ''changed'' WHERE journal_entry_id = $1',
            'UPDATE journal_entry_line SET journal_entry_id = $2 WHERE journal_entry_id = $1',
            'DELETE FROM journal_entry_line WHERE journal_entry_id = $1',
            'INSERT INTO journal_entry_line (journal_entry_id, account_id, debit_amount, line_number) VALUES ($1, $3, 1, 3)'
        ] LOOP
            refused := false;
            BEGIN
                EXECUTE attempt USING entry, unposted, debited;
            EXCEPTION
                WHEN restrict_violation THEN refused := true;
            END;
            ASSERT refused, format('a posted entry can be changed: %s', attempt);
        END LOOP;

        PERFORM reverse_journal_entry(entry);
        ASSERT (
            SELECT sum(debit_amount - credit_amount) = 0
            FROM journal_entry_line AS l JOIN journal_entry AS e ON e.id = l.journal_entry_id
            WHERE l.account_id = debited AND entry IN (e.id, e.reference_id)
        ), 'a reversal does not cancel its entry';
        RAISE EXCEPTION USING ERRCODE = 'MRV03';
    EXCEPTION
        WHEN SQLSTATE 'MRV03' THEN NULL;
    END;
END
$$;
