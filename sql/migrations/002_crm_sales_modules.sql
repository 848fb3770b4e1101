-- Migration 002: CRM and sales modules
-- phase: 2
-- requires: 001
--
-- What it is: customer_contact, lead, opportunity, crm_activity; product, price_list, product_price; sales_quote,
-- sales_order and their items; supplier_performance, quality_control; document_number, which numbers documents; and the
-- workflow from lead to order as functions: convert_lead(), accept_quote(), convert_quote_to_order().
--
-- What it locks: no row of an existing table is read or rewritten, no index is built on one. Nine steps take SHARE ROW
-- EXCLUSIVE on one existing table each (organization, profile, customer, inventory_item, purchase_order, supplier) for
-- the moment it takes to hang foreign keys of empty tables, or a trigger, on it: reading goes on, a write there waits
-- for milliseconds.
-- VALIDATE takes ROW SHARE there and scans only our new, empty tables. Everything else touches new tables alone.
--
-- What an operator must know:
-- - the new tables are closed to everybody until the last step grants them: nothing half made is ever used;
-- - a row refers to rows of its own organisation only, users included; constraint triggers see to it, named
--   same_organization. Composite foreign keys (org_id, id) were weighed and left: each of customer, inventory_item,
--   purchase_order and profile would get one more unique index, built concurrently behind every old snapshot and paid
--   for by each write of the application ever after, and five of the thirteen tables have no org_id to put into such a
--   key. A trigger takes the lock that the foreign key takes anyway (KEY SHARE), and nothing on existing tables but the
--   check named stay_in_organization, which runs only when an org_id changes: a customer, an item or a purchase order
--   that a row of these modules refers to can no longer be moved to another organisation; others can, as before;
-- - deleting a customer deletes contacts and activities, and is refused while quotes or orders name the customer; deleting a
--   product that is on a quote or an order is refused at COMMIT;
-- - numbers of documents are drawn from a row of document_number that stays locked until the drawing transaction ends:
--   no gaps, no doubles, and two transactions of one organisation that draw wait for each other;
-- - subtotal, tax_amount, total_amount and line_total are the database's: what a client writes there is replaced;
-- - they are rounded half away from zero, line by line, to the currency's minor unit (none for JPY), as invoices are in 003:
--   what was quoted and ordered is what is invoiced. So a quote or an order with lines does not change its currency;
-- - a document without a currency gets the organisation's (settings -> currency, USD where there is none); a currency
--   outside the enum is refused at that moment, with the organisation's name for it.

-- step: functions for triggers
-- No tenant's row may refer to another tenant's. SECURITY DEFINER: what is compared must not depend on what the caller may
-- see. AFTER, as a constraint trigger: row-level security and foreign keys speak first. KEY SHARE is the lock the foreign
-- key has just taken; it makes a move of the referenced row wait (stay_in_organization() takes the lock against it).
CREATE FUNCTION must_be_of_same_organization()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
DECLARE
    written      jsonb := to_jsonb(NEW);
    before       jsonb := CASE WHEN TG_OP = 'UPDATE' THEN to_jsonb(OLD) END;
    home_column  text := split_part(TG_ARGV[0], ' ', 1);
    home_table   text := split_part(TG_ARGV[0], ' ', 2);
    home_moved   boolean := before -> home_column IS DISTINCT FROM written -> home_column;
    home         uuid := written ->> home_column;
    link_column  text;
    link_table   text;
    found        uuid;
BEGIN
    IF home_table <> '' THEN
        EXECUTE format('SELECT org_id FROM %I WHERE id = $1 FOR KEY SHARE', home_table) INTO home USING home;
    END IF;

    FOR argument IN 1 .. TG_NARGS - 1 LOOP
        link_column := split_part(TG_ARGV[argument], ' ', 1);
        link_table := split_part(TG_ARGV[argument], ' ', 2);
        CONTINUE WHEN written ->> link_column IS NULL;
        CONTINUE WHEN NOT home_moved AND before -> link_column = written -> link_column;

        EXECUTE format('SELECT org_id FROM %I WHERE id = $1 FOR KEY SHARE', link_table)
        INTO found
        USING (written ->> link_column)::uuid;

        IF found IS DISTINCT FROM home THEN
            RAISE EXCEPTION '%.% must name a % of the same organisation', TG_TABLE_NAME, link_column, link_table
                USING ERRCODE = 'foreign_key_violation',
                      TABLE = TG_TABLE_NAME, COLUMN = link_column, CONSTRAINT = TG_NAME;
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION must_be_of_same_organization() IS
    'Constraint trigger, AFTER INSERT OR UPDATE. First argument: ''org_id'', or ''column table'' of the parent that has it; the others: ''column table'' of what must be of the same organisation.';

-- BEFORE UPDATE OF org_id, when it changes. FOR UPDATE waits for everybody who refers to the row right now (KEY SHARE),
-- and each query after it sees what they committed.
CREATE FUNCTION stay_in_organization()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
DECLARE
    is_referenced  boolean := TG_NARGS = 0;
BEGIN
    EXECUTE format('SELECT FROM %s WHERE id = $1 FOR UPDATE', TG_RELID::regclass) USING OLD.id;

    FOR argument IN 0 .. TG_NARGS - 1 LOOP
        EXECUTE format(
            'SELECT EXISTS (SELECT FROM %I WHERE %I = $1)',
            split_part(TG_ARGV[argument], ' ', 1),
            split_part(TG_ARGV[argument], ' ', 2)
        )
        INTO is_referenced
        USING OLD.id;
        EXIT WHEN is_referenced;
    END LOOP;

    IF is_referenced THEN
        RAISE EXCEPTION '% % cannot be moved to another organisation', TG_TABLE_NAME, OLD.id
            USING ERRCODE = 'insufficient_privilege', TABLE = TG_TABLE_NAME, COLUMN = 'org_id';
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION stay_in_organization() IS
    'Trigger, BEFORE UPDATE OF org_id WHEN it changes: refuses. With arguments ''table column'' only while a row there refers to this one.';

-- "Nothing is guessed": no key means USD, by the application's own rule; a code outside the enum is an error.
CREATE FUNCTION organization_currency(organization_id uuid)
    RETURNS currency_code
    LANGUAGE plpgsql
    STABLE
    SET search_path = public, pg_temp
AS $$
DECLARE
    code  text;
BEGIN
    SELECT coalesce(settings ->> 'currency', 'USD') INTO code FROM organization WHERE id = organization_id;
    RETURN code::currency_code;
EXCEPTION
    WHEN invalid_text_representation THEN
        RAISE EXCEPTION 'organisation % has the currency %, which is none of currency_code', organization_id, quote_literal(code)
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Name a currency in the row itself, or correct settings -> currency of the organisation.';
END
$$;

COMMENT ON FUNCTION organization_currency(uuid) IS
    'The currency of an organisation''s settings, USD where they name none, NULL for an organisation the caller may not see.';

CREATE FUNCTION fill_currency()
    RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
BEGIN
    NEW.currency := coalesce(NEW.currency, organization_currency(NEW.org_id));
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION fill_currency() IS 'Trigger, BEFORE INSERT OR UPDATE: a row without a currency gets its organisation''s.';

CREATE FUNCTION refuse_second_conversion()
    RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '% % is converted, and stays so', TG_TABLE_NAME, OLD.id
        USING ERRCODE = 'object_not_in_prerequisite_state', TABLE = TG_TABLE_NAME;
END
$$;

COMMENT ON FUNCTION refuse_second_conversion() IS 'Trigger: what was converted cannot be made convertible again.';

REVOKE EXECUTE ON FUNCTION
    must_be_of_same_organization(),
    stay_in_organization(),
    organization_currency(uuid),
    fill_currency(),
    refuse_second_conversion()
    FROM PUBLIC, anon, authenticated;

-- step: document numbers
-- One row an organisation, kind and year. Whoever draws holds the row until his transaction ends, so that a number that
-- was rolled back is drawn again. Runs as its caller: row-level security refuses another organisation's numbers.
CREATE TABLE document_number (
    org_id       uuid     NOT NULL,
    kind         text     NOT NULL,
    year         integer  NOT NULL,
    last_number  bigint   NOT NULL,

    PRIMARY KEY (org_id, kind, year),
    CONSTRAINT document_number_kind_is_a_lower_case_word
        CHECK (kind ~ '^[a-z][a-z_]{0,49}$'),
    CONSTRAINT document_number_year_has_four_digits
        CHECK (year BETWEEN 1000 AND 9999),
    CONSTRAINT document_number_positive
        CHECK (last_number > 0)
);

COMMENT ON TABLE  document_number             IS 'The last number drawn of each kind of document, by organisation and year; next_document_number() draws.';
COMMENT ON COLUMN document_number.kind        IS 'The document''s table: sales_quote, sales_order, invoice, payment, journal_entry ...';
COMMENT ON COLUMN document_number.last_number IS 'Grows by one at a time for whoever row-level security holds; set it freely as service_role, to continue an older series.';

ALTER TABLE document_number ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON document_number
    FOR ALL TO authenticated
    USING (org_id = (SELECT tenant_org_id()))
    WITH CHECK (org_id = (SELECT tenant_org_id()));
REVOKE ALL ON document_number FROM PUBLIC, anon, authenticated;

CREATE FUNCTION draw_numbers_one_by_one()
    RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
BEGIN
    IF NOT row_security_active(TG_RELID)
        OR TG_OP = 'INSERT' AND NEW.last_number = 1
        OR TG_OP = 'UPDATE' AND NEW = jsonb_populate_record(OLD, jsonb_build_object('last_number', OLD.last_number + 1))
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a document number can only be drawn, not set'
        USING ERRCODE = 'insufficient_privilege', TABLE = TG_TABLE_NAME, HINT = 'Call next_document_number().';
END
$$;

COMMENT ON FUNCTION draw_numbers_one_by_one() IS 'Trigger on document_number: a tenant cannot turn its own numbers back, nor forward.';

CREATE TRIGGER draw_numbers_one_by_one
    BEFORE INSERT OR UPDATE ON document_number
    FOR EACH ROW EXECUTE FUNCTION draw_numbers_one_by_one();

CREATE FUNCTION next_document_number(org_id uuid, kind text)
    RETURNS text
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
DECLARE
    this_year  integer := extract(year FROM current_date);
    drawn      text;
    prefix     text := CASE kind
        WHEN 'sales_quote' THEN 'SQ'
        WHEN 'sales_order' THEN 'SO'
        WHEN 'invoice' THEN 'INV'
        WHEN 'payment' THEN 'PAY'
        WHEN 'journal_entry' THEN 'JE'
        ELSE upper(kind)
    END;
BEGIN
    INSERT INTO document_number AS counter (org_id, kind, year, last_number)
    VALUES (next_document_number.org_id, next_document_number.kind, this_year, 1)
    ON CONFLICT ON CONSTRAINT document_number_pkey DO UPDATE SET last_number = counter.last_number + 1
    RETURNING counter.last_number INTO drawn;

    RETURN format('%s-%s-%s', prefix, this_year, lpad(drawn, greatest(6, char_length(drawn)), '0'));
END
$$;

COMMENT ON FUNCTION next_document_number(uuid, text) IS
    'Draws the next number of a kind of document in this year, such as SO-2025-000123: unique and without gaps within the organisation.';

CREATE FUNCTION assign_document_number()
    RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
DECLARE
    number_column  text := TG_ARGV[1];
    candidate      text := btrim(to_jsonb(NEW) ->> number_column);
    is_taken       boolean;
BEGIN
    IF candidate <> '' THEN
        RETURN NEW;
    END IF;

    -- A client may have given itself a number of our form.
    LOOP
        candidate := next_document_number(NEW.org_id, TG_ARGV[0]);
        EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE org_id = $1 AND %I = $2)', TG_RELID::regclass, number_column)
        INTO is_taken
        USING NEW.org_id, candidate;
        EXIT WHEN NOT is_taken;
    END LOOP;
    RETURN jsonb_populate_record(NEW, jsonb_build_object(number_column, candidate));
END
$$;

COMMENT ON FUNCTION assign_document_number() IS
    'Trigger, BEFORE INSERT: a row without a number gets the next one. Arguments: kind, column. A number that the client gives is kept.';

REVOKE EXECUTE ON FUNCTION
    draw_numbers_one_by_one(),
    next_document_number(uuid, text),
    assign_document_number()
    FROM PUBLIC, anon, authenticated;

-- step: totals of quotes and orders
-- Text, not labels: a label added to the enum later finds its minor unit here, and a list of labels could not name it.
CREATE FUNCTION currency_minor_units(currency currency_code)
    RETURNS integer
    LANGUAGE sql
    STABLE
    STRICT
    PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN currency::text IN (
            'BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'VND', 'VUV', 'XAF', 'XOF', 'XPF'
        ) THEN 0
        ELSE 2
    END
$$;

COMMENT ON FUNCTION currency_minor_units(currency_code) IS 'Digits after the point in ISO 4217: 0 for JPY and its like, 2 otherwise; no column of ours holds more.';

CREATE FUNCTION round_money(amount numeric, currency currency_code)
    RETURNS numeric
    LANGUAGE sql
    STABLE
    STRICT
    PARALLEL SAFE
AS $$
    SELECT round(amount, currency_minor_units(currency))
$$;

COMMENT ON FUNCTION round_money(numeric, currency_code) IS 'money: rounded to the currency''s minor unit, half away from zero.';

-- numeric rounds half away from zero. Times 0.01, never divided by 100: a quotient is cut to some digits before it is
-- rounded, and rounding twice can be a cent off. SECURITY DEFINER: the currency is the header's, whatever the writer sees.
CREATE FUNCTION keep_line_total()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
DECLARE
    header_currency  currency_code;
BEGIN
    EXECUTE format('SELECT currency FROM %I WHERE id = $1', TG_ARGV[0])
    INTO header_currency
    USING (to_jsonb(NEW) ->> TG_ARGV[1])::uuid;

    NEW.line_total := round_money(
        NEW.quantity * NEW.unit_price * (100 - coalesce(NEW.discount_percentage, 0)) * 0.01,
        coalesce(header_currency, 'USD')   -- no such header: the foreign key refuses
    );
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION keep_line_total() IS
    'Trigger, BEFORE INSERT OR UPDATE on items: quantity * unit_price less the discount, rounded to the minor unit of the header''s currency. Arguments: table of headers, the items'' column for it.';

-- A header is summed anew whenever it is written, under its own row lock, whoever writes it and whatever he wrote. So two
-- transactions that change lines of one header wait for each other, and the second sums what the first committed.
CREATE FUNCTION keep_sales_totals()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
DECLARE
    has_lines   boolean := false;
    is_rounded  boolean;
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.currency IS DISTINCT FROM OLD.currency THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE %I = $1)', TG_ARGV[0], TG_ARGV[1]) INTO has_lines USING OLD.id;
    END IF;
    IF has_lines THEN
        RAISE EXCEPTION '% % has lines in %: amounts do not change their currency by a change of name', TG_TABLE_NAME, OLD.id, OLD.currency
            USING ERRCODE = 'check_violation',
                  TABLE = TG_TABLE_NAME,
                  COLUMN = 'currency',
                  HINT = 'Make a new one, with prices in the other currency.';
    END IF;

    NEW.shipping_amount := coalesce(round_money(NEW.shipping_amount, NEW.currency), 0);
    NEW.discount_amount := coalesce(round_money(NEW.discount_amount, NEW.currency), 0);
    NEW.subtotal := 0;
    NEW.tax_amount := 0;

    IF TG_OP = 'UPDATE' THEN
        EXECUTE format(
            'SELECT coalesce(sum(line_total), 0), coalesce(sum(round_money(line_total * coalesce(tax_rate, 0) * 0.01, $2)), 0),'
            '       coalesce(bool_and(line_total = round_money(line_total, $2)), true) FROM %I WHERE %I = $1',
            TG_ARGV[0],
            TG_ARGV[1]
        )
        INTO NEW.subtotal, NEW.tax_amount, is_rounded
        USING OLD.id, NEW.currency;
        IF NOT is_rounded THEN   -- a first line was on its way while another session changed the currency
            RAISE EXCEPTION '% % changed its currency to % while a line was written', TG_TABLE_NAME, OLD.id, NEW.currency
                USING ERRCODE = 'serialization_failure',
                      TABLE = TG_TABLE_NAME,
                      HINT = 'Try the transaction again.';
        END IF;
    END IF;

    NEW.total_amount := NEW.subtotal + NEW.tax_amount + NEW.shipping_amount - NEW.discount_amount;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION keep_sales_totals() IS
    'Trigger, BEFORE INSERT OR UPDATE on headers: subtotal, tax_amount and total_amount from the lines. Arguments: table of items, its column for the header. Tax is rounded on each line.';

-- Once a statement, headers in the order of their ids: two statements over several headers cannot deadlock here.
CREATE FUNCTION carry_totals_to_header()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
DECLARE
    header_table  text := TG_ARGV[0];
    link          text := TG_ARGV[1];
    touched       uuid[];
BEGIN
    CASE TG_OP
        WHEN 'INSERT' THEN
            EXECUTE format('SELECT array_agg(DISTINCT %I) FROM items_after', link) INTO touched;
        WHEN 'DELETE' THEN
            EXECUTE format('SELECT array_agg(DISTINCT %I) FROM items_before', link) INTO touched;
        WHEN 'UPDATE' THEN
            EXECUTE format(
                'SELECT array_agg(DISTINCT header) FROM (
                     (SELECT %1$I AS header, id, line_total, tax_rate FROM items_before
                      EXCEPT SELECT %1$I, id, line_total, tax_rate FROM items_after)
                     UNION ALL
                     (SELECT %1$I, id, line_total, tax_rate FROM items_after
                      EXCEPT SELECT %1$I, id, line_total, tax_rate FROM items_before)
                 ) AS changed',
                link
            )
            INTO touched;
        WHEN 'TRUNCATE' THEN
            EXECUTE format('SELECT array_agg(id) FROM %I WHERE subtotal <> 0 OR tax_amount <> 0', header_table) INTO touched;
    END CASE;

    IF touched IS NULL THEN
        RETURN NULL;
    END IF;
    EXECUTE format('SELECT FROM %I WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE', header_table) USING touched;
    EXECUTE format('UPDATE %I SET subtotal = subtotal WHERE id = ANY ($1)', header_table) USING touched;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION carry_totals_to_header() IS
    'Trigger, AFTER a statement on items: writes the headers whose lines changed, so that keep_sales_totals() sums them. Arguments: table of headers, the items'' column for it.';

REVOKE EXECUTE ON FUNCTION
    currency_minor_units(currency_code),
    round_money(numeric, currency_code),
    keep_line_total(),
    keep_sales_totals(),
    carry_totals_to_header()
    FROM PUBLIC, anon, authenticated;

-- step: customer contacts
CREATE TABLE customer_contact (
    id           uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    customer_id  uuid         NOT NULL,
    first_name   text         NOT NULL,
    last_name    text         NOT NULL,
    title        text,
    email        text,
    phone        text,
    mobile       text,
    is_primary   boolean      DEFAULT false,
    is_active    boolean      DEFAULT true,
    created_at   timestamptz  DEFAULT now(),
    updated_at   timestamptz  DEFAULT now(),

    CONSTRAINT contact_name_length
        CHECK (
            char_length(first_name) >= 1 AND char_length(first_name) <= 100
            AND char_length(last_name) >= 1 AND char_length(last_name) <= 100
        ),
    CONSTRAINT contact_email_format
        CHECK (email IS NULL OR email ~ '^[^@\s]+@[^@\s]+\.[^@\s]+$')
);

COMMENT ON TABLE  customer_contact            IS 'People at a customer; at most one of them is the primary contact.';
COMMENT ON COLUMN customer_contact.first_name IS 'personal data: identity: the person''s given name.';
COMMENT ON COLUMN customer_contact.last_name  IS 'personal data: identity: the person''s family name.';
COMMENT ON COLUMN customer_contact.title      IS 'personal data: identity: the person''s position.';
COMMENT ON COLUMN customer_contact.email      IS 'personal data: contact: the person''s e-mail address.';
COMMENT ON COLUMN customer_contact.phone      IS 'personal data: contact: the person''s number.';
COMMENT ON COLUMN customer_contact.mobile     IS 'personal data: contact: the person''s mobile number.';

CREATE INDEX idx_customer_contact_customer ON customer_contact (customer_id);
CREATE INDEX idx_customer_contact_email ON customer_contact (email) WHERE email IS NOT NULL;
CREATE UNIQUE INDEX idx_customer_contact_primary ON customer_contact (customer_id, is_primary) WHERE is_primary = true;

ALTER TABLE customer_contact ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON customer_contact
    FOR ALL TO authenticated
    USING (EXISTS (SELECT FROM customer WHERE id = customer_id AND org_id = (SELECT tenant_org_id())))
    WITH CHECK (EXISTS (SELECT FROM customer WHERE id = customer_id AND org_id = (SELECT tenant_org_id())));
REVOKE ALL ON customer_contact FROM PUBLIC, anon, authenticated;

CREATE TRIGGER touch_updated_at
    BEFORE UPDATE ON customer_contact
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER record_audit
    AFTER INSERT OR UPDATE OR DELETE ON customer_contact
    FOR EACH ROW EXECUTE FUNCTION record_audit('customer_id customer');

-- step: leads
CREATE TABLE lead (
    id                        uuid           PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id                    uuid           NOT NULL,
    first_name                text           NOT NULL,
    last_name                 text           NOT NULL,
    company                   text,
    title                     text,
    email                     text,
    phone                     text,
    status                    lead_status    DEFAULT 'new',
    source                    text,
    score                     integer        DEFAULT 0,
    assigned_to               uuid,
    converted_to_customer_id  uuid,
    converted_at              timestamptz,
    estimated_value           numeric(12,2),
    expected_close_date       date,
    notes                     text,
    tags                      text[]         DEFAULT '{}',
    custom_fields             jsonb          DEFAULT '{}',
    created_at                timestamptz    DEFAULT now(),
    updated_at                timestamptz    DEFAULT now(),

    CONSTRAINT lead_name_length
        CHECK (char_length(first_name) BETWEEN 1 AND 100 AND char_length(last_name) BETWEEN 1 AND 100),
    CONSTRAINT lead_company_length
        CHECK (char_length(company) BETWEEN 1 AND 200),
    CONSTRAINT lead_email_format
        CHECK (email ~ '^[^@\s]+@[^@\s]+\.[^@\s]+$'),
    CONSTRAINT lead_score_is_a_percentage
        CHECK (score BETWEEN 0 AND 100),
    CONSTRAINT lead_estimated_value_not_negative
        CHECK (estimated_value >= 0),
    -- One way only: deleting the customer clears the reference, and the lead stays converted.
    CONSTRAINT lead_conversion_has_a_time
        CHECK (converted_to_customer_id IS NULL OR converted_at IS NOT NULL)
);

COMMENT ON TABLE  lead                          IS 'Somebody who may become a customer; convert_lead() makes it so, once.';
COMMENT ON COLUMN lead.first_name               IS 'personal data: identity: the person''s given name.';
COMMENT ON COLUMN lead.last_name                IS 'personal data: identity: the person''s family name.';
COMMENT ON COLUMN lead.company                  IS 'personal data: identity: where the person works.';
COMMENT ON COLUMN lead.title                    IS 'personal data: identity: the person''s position.';
COMMENT ON COLUMN lead.email                    IS 'personal data: contact: the person''s e-mail address.';
COMMENT ON COLUMN lead.phone                    IS 'personal data: contact: the person''s number.';
COMMENT ON COLUMN lead.score                    IS 'personal data: behaviour: how likely the person is to buy, in percent.';
COMMENT ON COLUMN lead.notes                    IS 'personal data: free text: what was noted about the person.';
COMMENT ON COLUMN lead.tags                     IS 'personal data: free text: how the person is labelled.';
COMMENT ON COLUMN lead.custom_fields            IS 'personal data: free text: whatever the application notes about the person.';
COMMENT ON COLUMN lead.estimated_value          IS 'money: expected sales, in the organisation''s currency.';
COMMENT ON COLUMN lead.converted_to_customer_id IS 'The customer made by convert_lead(); NULL again when that customer is deleted.';

CREATE INDEX idx_lead_org_status ON lead (org_id, status);
CREATE INDEX idx_lead_org_created ON lead (org_id, created_at DESC);
CREATE INDEX idx_lead_org_email ON lead (org_id, lower(email));
CREATE INDEX idx_lead_assigned_to ON lead (assigned_to);
CREATE INDEX idx_lead_converted_to_customer ON lead (converted_to_customer_id);

ALTER TABLE lead ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON lead
    FOR ALL TO authenticated
    USING (org_id = (SELECT tenant_org_id()))
    WITH CHECK (org_id = (SELECT tenant_org_id()));
REVOKE ALL ON lead FROM PUBLIC, anon, authenticated;

CREATE TRIGGER refuse_second_conversion
    BEFORE UPDATE OF converted_at, converted_to_customer_id ON lead
    FOR EACH ROW
    WHEN (
        OLD.converted_at IS NOT NULL
        AND (
            NEW.converted_at IS DISTINCT FROM OLD.converted_at
            OR NEW.converted_to_customer_id IS NOT NULL
            AND NEW.converted_to_customer_id IS DISTINCT FROM OLD.converted_to_customer_id
        )
    )
    EXECUTE FUNCTION refuse_second_conversion();
CREATE TRIGGER stay_in_organization
    BEFORE UPDATE OF org_id ON lead
    FOR EACH ROW WHEN (NEW.org_id IS DISTINCT FROM OLD.org_id)
    EXECUTE FUNCTION stay_in_organization();
CREATE CONSTRAINT TRIGGER same_organization
    AFTER INSERT OR UPDATE OF converted_to_customer_id, assigned_to ON lead
    FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(
        'org_id', 'converted_to_customer_id customer', 'assigned_to profile'
    );
CREATE TRIGGER touch_updated_at
    BEFORE UPDATE ON lead
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER record_audit
    AFTER INSERT OR UPDATE OR DELETE ON lead
    FOR EACH ROW EXECUTE FUNCTION record_audit();

-- step: opportunities
CREATE TABLE opportunity (
    id                   uuid               PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id               uuid               NOT NULL,
    customer_id          uuid,
    lead_id              uuid,
    name                 text               NOT NULL,
    description          text,
    stage                opportunity_stage  DEFAULT 'prospecting',
    amount               numeric(12,2)      NOT NULL,
    currency             currency_code,
    probability          integer            DEFAULT 0,
    assigned_to          uuid,
    expected_close_date  date,
    actual_close_date    date,
    is_won               boolean,
    close_reason         text,
    competitors          text[]             DEFAULT '{}',
    next_step            text,
    created_at           timestamptz        DEFAULT now(),
    updated_at           timestamptz        DEFAULT now(),

    CONSTRAINT opportunity_lead_id_fkey
        FOREIGN KEY (lead_id) REFERENCES lead (id) ON DELETE SET NULL,
    CONSTRAINT opportunity_name_length
        CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT opportunity_amount_not_negative
        CHECK (amount >= 0),
    CONSTRAINT opportunity_probability_is_a_percentage
        CHECK (probability BETWEEN 0 AND 100),
    CONSTRAINT opportunity_won_is_in_stage_won
        CHECK (is_won IS NOT TRUE OR stage = 'won')
);

COMMENT ON TABLE  opportunity              IS 'A sale that may come about, with a customer or with a lead.';
COMMENT ON COLUMN opportunity.name         IS 'personal data: identity: may hold the person''s name, when it comes from a lead without a company.';
COMMENT ON COLUMN opportunity.description  IS 'personal data: free text: may name people.';
COMMENT ON COLUMN opportunity.close_reason IS 'personal data: free text: may name people.';
COMMENT ON COLUMN opportunity.next_step    IS 'personal data: free text: may name people.';
COMMENT ON COLUMN opportunity.amount       IS 'money: expected sales, in currency.';
COMMENT ON COLUMN opportunity.currency     IS 'money: the currency of amount; the organisation''s where the client names none.';

CREATE INDEX idx_opportunity_org_stage ON opportunity (org_id, stage);
CREATE INDEX idx_opportunity_org_expected_close ON opportunity (org_id, expected_close_date);
CREATE INDEX idx_opportunity_customer ON opportunity (customer_id);
CREATE INDEX idx_opportunity_lead ON opportunity (lead_id);
CREATE INDEX idx_opportunity_assigned_to ON opportunity (assigned_to);

ALTER TABLE opportunity ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON opportunity
    FOR ALL TO authenticated
    USING (org_id = (SELECT tenant_org_id()))
    WITH CHECK (org_id = (SELECT tenant_org_id()));
REVOKE ALL ON opportunity FROM PUBLIC, anon, authenticated;

CREATE TRIGGER fill_currency
    BEFORE INSERT OR UPDATE OF currency ON opportunity
    FOR EACH ROW WHEN (NEW.currency IS NULL)
    EXECUTE FUNCTION fill_currency();
CREATE TRIGGER stay_in_organization
    BEFORE UPDATE OF org_id ON opportunity
    FOR EACH ROW WHEN (NEW.org_id IS DISTINCT FROM OLD.org_id)
    EXECUTE FUNCTION stay_in_organization();
CREATE CONSTRAINT TRIGGER same_organization
    AFTER INSERT OR UPDATE OF customer_id, lead_id, assigned_to ON opportunity
    FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(
        'org_id', 'customer_id customer', 'lead_id lead', 'assigned_to profile'
    );
CREATE TRIGGER touch_updated_at
    BEFORE UPDATE ON opportunity
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER record_audit
    AFTER INSERT OR UPDATE OR DELETE ON opportunity
    FOR EACH ROW EXECUTE FUNCTION record_audit();

-- step: activities
CREATE TABLE crm_activity (
    id                  uuid           PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id              uuid           NOT NULL,
    type                activity_type  NOT NULL,
    subject             text           NOT NULL,
    description         text,
    customer_id         uuid,
    lead_id             uuid,
    opportunity_id      uuid,
    assigned_to         uuid,
    created_by          uuid           NOT NULL,
    due_date            timestamptz,
    completed_at        timestamptz,
    is_completed        boolean        DEFAULT false,
    duration_minutes    integer,
    outcome             text,
    follow_up_required  boolean        DEFAULT false,
    follow_up_date      timestamptz,
    priority            integer        DEFAULT 3,
    created_at          timestamptz    DEFAULT now(),
    updated_at          timestamptz    DEFAULT now(),

    CONSTRAINT crm_activity_lead_id_fkey
        FOREIGN KEY (lead_id) REFERENCES lead (id) ON DELETE CASCADE,
    CONSTRAINT crm_activity_opportunity_id_fkey
        FOREIGN KEY (opportunity_id) REFERENCES opportunity (id) ON DELETE SET NULL,
    CONSTRAINT crm_activity_subject_length
        CHECK (char_length(subject) BETWEEN 1 AND 500),
    CONSTRAINT crm_activity_duration_positive
        CHECK (duration_minutes > 0),
    CONSTRAINT crm_activity_priority_between_1_and_5
        CHECK (priority BETWEEN 1 AND 5)
);

COMMENT ON TABLE  crm_activity              IS 'What was or is to be done for a customer, a lead or an opportunity; deleted with the customer or the lead.';
COMMENT ON COLUMN crm_activity.subject      IS 'personal data: free text: may name people.';
COMMENT ON COLUMN crm_activity.description  IS 'personal data: free text: may name people.';
COMMENT ON COLUMN crm_activity.outcome      IS 'personal data: free text: may name people.';
COMMENT ON COLUMN crm_activity.completed_at IS 'personal data: behaviour: when the user did it.';
COMMENT ON COLUMN crm_activity.priority     IS '1 is the most urgent, 5 the least.';

CREATE INDEX idx_crm_activity_org_created ON crm_activity (org_id, created_at DESC);
CREATE INDEX idx_crm_activity_org_due ON crm_activity (org_id, due_date) WHERE is_completed IS NOT TRUE;
CREATE INDEX idx_crm_activity_customer ON crm_activity (customer_id, created_at DESC);
CREATE INDEX idx_crm_activity_lead ON crm_activity (lead_id);
CREATE INDEX idx_crm_activity_opportunity ON crm_activity (opportunity_id);
CREATE INDEX idx_crm_activity_assigned_to ON crm_activity (assigned_to, due_date);
CREATE INDEX idx_crm_activity_created_by ON crm_activity (created_by);

ALTER TABLE crm_activity ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON crm_activity
    FOR ALL TO authenticated
    USING (org_id = (SELECT tenant_org_id()))
    WITH CHECK (org_id = (SELECT tenant_org_id()));
REVOKE ALL ON crm_activity FROM PUBLIC, anon, authenticated;

CREATE TRIGGER stay_in_organization
    BEFORE UPDATE OF org_id ON crm_activity
    FOR EACH ROW WHEN (NEW.org_id IS DISTINCT FROM OLD.org_id)
    EXECUTE FUNCTION stay_in_organization();
CREATE CONSTRAINT TRIGGER same_organization
    AFTER INSERT OR UPDATE OF customer_id, lead_id, opportunity_id, assigned_to, created_by ON crm_activity
    FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(
        'org_id',
        'customer_id customer', 'lead_id lead', 'opportunity_id opportunity', 'assigned_to profile', 'created_by profile'
    );
CREATE TRIGGER touch_updated_at
    BEFORE UPDATE ON crm_activity
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER record_audit
    AFTER INSERT OR UPDATE OR DELETE ON crm_activity
    FOR EACH ROW EXECUTE FUNCTION record_audit();

-- step: products
CREATE TABLE product (
    id                 uuid           PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id             uuid           NOT NULL,
    inventory_item_id  uuid,
    name               text           NOT NULL,
    description        text,
    sku                text           NOT NULL,
    category           text,
    brand              text,
    model              text,
    base_price         numeric(10,2)  NOT NULL,
    cost_price         numeric(10,2),
    weight_kg          numeric(8,3),
    dimensions_cm      text,
    is_active          boolean        DEFAULT true,
    is_service         boolean        DEFAULT false,
    tax_category       text,
    warranty_months    integer,
    minimum_quantity   integer        DEFAULT 1,
    maximum_quantity   integer,
    tags               text[]         DEFAULT '{}',
    images             text[]         DEFAULT '{}',
    custom_fields      jsonb          DEFAULT '{}',
    created_at         timestamptz    DEFAULT now(),
    updated_at         timestamptz    DEFAULT now(),

    CONSTRAINT product_sku_is_unique_in_organization
        UNIQUE (org_id, sku),
    CONSTRAINT product_sku_length
        CHECK (char_length(sku) BETWEEN 1 AND 100),
    CONSTRAINT product_name_length
        CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT product_base_price_not_negative
        CHECK (base_price >= 0),
    CONSTRAINT product_cost_price_not_negative
        CHECK (cost_price >= 0),
    CONSTRAINT product_weight_not_negative
        CHECK (weight_kg >= 0),
    CONSTRAINT product_warranty_not_negative
        CHECK (warranty_months >= 0),
    CONSTRAINT product_minimum_quantity_positive
        CHECK (minimum_quantity > 0),
    CONSTRAINT product_maximum_quantity_not_below_minimum
        CHECK (maximum_quantity > 0 AND maximum_quantity >= minimum_quantity)
);

COMMENT ON TABLE  product             IS 'What an organisation sells: a stock item or a service.';
COMMENT ON COLUMN product.name        IS 'Not personal: the product''s name.';
COMMENT ON COLUMN product.description IS 'Not personal: what the product is.';
COMMENT ON COLUMN product.custom_fields IS 'Not personal: whatever the application notes about the product.';
COMMENT ON COLUMN product.base_price  IS 'money: price of one unit before price lists, in the organisation''s currency.';
COMMENT ON COLUMN product.cost_price  IS 'money: cost of one unit, in the organisation''s currency.';

CREATE INDEX idx_product_org_name ON product (org_id, name);
CREATE INDEX idx_product_org_category ON product (org_id, category);
CREATE INDEX idx_product_inventory_item ON product (inventory_item_id);

ALTER TABLE product ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON product
    FOR ALL TO authenticated
    USING (org_id = (SELECT tenant_org_id()))
    WITH CHECK (org_id = (SELECT tenant_org_id()));
REVOKE ALL ON product FROM PUBLIC, anon, authenticated;

CREATE TRIGGER stay_in_organization
    BEFORE UPDATE OF org_id ON product
    FOR EACH ROW WHEN (NEW.org_id IS DISTINCT FROM OLD.org_id)
    EXECUTE FUNCTION stay_in_organization();
CREATE CONSTRAINT TRIGGER same_organization
    AFTER INSERT OR UPDATE OF inventory_item_id ON product
    FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization('org_id', 'inventory_item_id inventory_item');
CREATE TRIGGER touch_updated_at
    BEFORE UPDATE ON product
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER record_audit
    AFTER INSERT OR UPDATE OR DELETE ON product
    FOR EACH ROW EXECUTE FUNCTION record_audit();

-- step: price lists
CREATE TABLE price_list (
    id                    uuid                PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id                uuid                NOT NULL,
    name                  text                NOT NULL,
    description           text,
    currency              currency_code,
    is_default            boolean             DEFAULT false,
    valid_from            date                NOT NULL DEFAULT CURRENT_DATE,
    valid_to              date,
    customer_segments     customer_segment[]  DEFAULT '{}',
    minimum_order_amount  numeric(12,2)       DEFAULT 0,
    is_active             boolean             DEFAULT true,
    created_at            timestamptz         DEFAULT now(),
    updated_at            timestamptz         DEFAULT now(),

    CONSTRAINT price_list_name_length
        CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT price_list_ends_after_it_begins
        CHECK (valid_to >= valid_from),
    CONSTRAINT price_list_minimum_order_amount_not_negative
        CHECK (minimum_order_amount >= 0)
);

COMMENT ON TABLE  price_list                      IS 'Prices for some time and some customers; at most one list of an organisation is the default.';
COMMENT ON COLUMN price_list.name                 IS 'Not personal: the list''s name.';
COMMENT ON COLUMN price_list.description          IS 'Not personal: what the list is for.';
COMMENT ON COLUMN price_list.currency             IS 'money: the currency of the list; the organisation''s where the client names none.';
COMMENT ON COLUMN price_list.minimum_order_amount IS 'money: orders from this amount on, in currency.';
COMMENT ON COLUMN price_list.valid_to             IS 'Last day of validity; open when NULL.';
COMMENT ON COLUMN price_list.customer_segments    IS 'Whom the list is for; empty for everybody.';

CREATE INDEX idx_price_list_org_valid_from ON price_list (org_id, valid_from);
CREATE UNIQUE INDEX idx_price_list_default ON price_list (org_id) WHERE is_default = true;

ALTER TABLE price_list ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON price_list
    FOR ALL TO authenticated
    USING (org_id = (SELECT tenant_org_id()))
    WITH CHECK (org_id = (SELECT tenant_org_id()));
REVOKE ALL ON price_list FROM PUBLIC, anon, authenticated;

CREATE TRIGGER fill_currency
    BEFORE INSERT OR UPDATE OF currency ON price_list
    FOR EACH ROW WHEN (NEW.currency IS NULL)
    EXECUTE FUNCTION fill_currency();
CREATE TRIGGER stay_in_organization
    BEFORE UPDATE OF org_id ON price_list
    FOR EACH ROW WHEN (NEW.org_id IS DISTINCT FROM OLD.org_id)
    EXECUTE FUNCTION stay_in_organization();
CREATE TRIGGER touch_updated_at
    BEFORE UPDATE ON price_list
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER record_audit
    AFTER INSERT OR UPDATE OR DELETE ON price_list
    FOR EACH ROW EXECUTE FUNCTION record_audit();

-- step: product prices
CREATE TABLE product_price (
    id                   uuid           PRIMARY KEY DEFAULT gen_random_uuid(),
    product_id           uuid           NOT NULL,
    price_list_id        uuid           NOT NULL,
    unit_price           numeric(10,2)  NOT NULL,
    discount_percentage  numeric(5,2)   DEFAULT 0,
    minimum_quantity     integer        DEFAULT 1,
    created_at           timestamptz    DEFAULT now(),
    updated_at           timestamptz    DEFAULT now(),

    CONSTRAINT product_price_product_id_fkey
        FOREIGN KEY (product_id) REFERENCES product (id) ON DELETE CASCADE,
    CONSTRAINT product_price_price_list_id_fkey
        FOREIGN KEY (price_list_id) REFERENCES price_list (id) ON DELETE CASCADE,
    CONSTRAINT product_price_unit_price_not_negative
        CHECK (unit_price >= 0),
    CONSTRAINT product_price_discount_is_a_percentage
        CHECK (discount_percentage BETWEEN 0 AND 100),
    CONSTRAINT product_price_minimum_quantity_positive
        CHECK (minimum_quantity > 0)
);

COMMENT ON TABLE  product_price                     IS 'What a product costs in a price list, from a quantity on.';
COMMENT ON COLUMN product_price.unit_price          IS 'money: price of one unit, in the price list''s currency.';
COMMENT ON COLUMN product_price.discount_percentage IS 'money: what is taken off unit_price, in percent.';

CREATE UNIQUE INDEX idx_product_price_one_per_quantity
    ON product_price (product_id, price_list_id, (coalesce(minimum_quantity, 1)));
CREATE INDEX idx_product_price_price_list ON product_price (price_list_id);

ALTER TABLE product_price ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON product_price
    FOR ALL TO authenticated
    USING (EXISTS (SELECT FROM product WHERE id = product_id AND org_id = (SELECT tenant_org_id())))
    WITH CHECK (EXISTS (SELECT FROM product WHERE id = product_id AND org_id = (SELECT tenant_org_id())));
REVOKE ALL ON product_price FROM PUBLIC, anon, authenticated;

CREATE CONSTRAINT TRIGGER same_organization
    AFTER INSERT OR UPDATE OF product_id, price_list_id ON product_price
    FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization('product_id product', 'price_list_id price_list');
CREATE TRIGGER touch_updated_at
    BEFORE UPDATE ON product_price
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER record_audit
    AFTER INSERT OR UPDATE OR DELETE ON product_price
    FOR EACH ROW EXECUTE FUNCTION record_audit('product_id product');

-- step: quotes
CREATE TABLE sales_quote (
    id                     uuid                PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id                 uuid                NOT NULL,
    customer_id            uuid                NOT NULL,
    opportunity_id         uuid,
    quote_number           text                NOT NULL,
    title                  text                NOT NULL,
    description            text,
    status                 sales_order_status  DEFAULT 'draft',
    currency               currency_code,
    subtotal               numeric(12,2)       DEFAULT 0,
    tax_amount             numeric(12,2)       DEFAULT 0,
    shipping_amount        numeric(12,2)       DEFAULT 0,
    discount_amount        numeric(12,2)       DEFAULT 0,
    total_amount           numeric(12,2)       DEFAULT 0,
    valid_until            date,
    terms_and_conditions   text,
    internal_notes         text,
    created_by             uuid                NOT NULL,
    approved_by            uuid,
    approved_at            timestamptz,
    converted_to_order_id  uuid,
    created_at             timestamptz         DEFAULT now(),
    updated_at             timestamptz         DEFAULT now(),

    CONSTRAINT sales_quote_opportunity_id_fkey
        FOREIGN KEY (opportunity_id) REFERENCES opportunity (id) ON DELETE SET NULL,
    CONSTRAINT sales_quote_number_is_unique_in_organization
        UNIQUE (org_id, quote_number),
    CONSTRAINT sales_quote_number_length
        CHECK (char_length(quote_number) BETWEEN 1 AND 50),
    CONSTRAINT sales_quote_title_length
        CHECK (char_length(title) BETWEEN 1 AND 200),
    CONSTRAINT sales_quote_amounts_not_negative
        CHECK (subtotal >= 0 AND tax_amount >= 0 AND shipping_amount >= 0 AND discount_amount >= 0),
    CONSTRAINT sales_quote_total_adds_up
        CHECK ((total_amount = subtotal + tax_amount + shipping_amount - discount_amount) IS TRUE),
    -- A draft is still being written, and a header comes before its lines.
    CONSTRAINT sales_quote_total_not_negative
        CHECK (total_amount >= 0 OR subtotal = 0 OR coalesce(status, 'draft') = 'draft'),
    CONSTRAINT sales_quote_approval_has_person_and_time
        CHECK ((approved_by IS NULL) = (approved_at IS NULL))
);

COMMENT ON TABLE  sales_quote                       IS 'An offer to a customer; convert_quote_to_order() makes an order of it, once.';
COMMENT ON COLUMN sales_quote.quote_number          IS 'Drawn by trigger when the client gives none.';
COMMENT ON COLUMN sales_quote.title                 IS 'personal data: free text: may name people.';
COMMENT ON COLUMN sales_quote.description           IS 'personal data: free text: may name people.';
COMMENT ON COLUMN sales_quote.terms_and_conditions  IS 'Not personal: the terms of the offer.';
COMMENT ON COLUMN sales_quote.internal_notes        IS 'personal data: free text: may name people.';
COMMENT ON COLUMN sales_quote.currency              IS 'money: the currency of all amounts; the organisation''s where the client names none.';
COMMENT ON COLUMN sales_quote.subtotal              IS 'money: sum of line_total, in currency; kept by trigger.';
COMMENT ON COLUMN sales_quote.tax_amount            IS 'money: tax of the lines, rounded on each line, in currency; kept by trigger.';
COMMENT ON COLUMN sales_quote.shipping_amount       IS 'money: in currency.';
COMMENT ON COLUMN sales_quote.discount_amount       IS 'money: off the whole quote, beside the lines'' own discounts, in currency.';
COMMENT ON COLUMN sales_quote.total_amount          IS 'money: subtotal + tax + shipping - discount, in currency; kept by trigger.';
COMMENT ON COLUMN sales_quote.converted_to_order_id IS 'The order made of this quote, guarded by no foreign key: the order refers to its quote.';

CREATE INDEX idx_sales_quote_org_status ON sales_quote (org_id, status, created_at DESC);
CREATE INDEX idx_sales_quote_customer ON sales_quote (customer_id, created_at DESC);
CREATE INDEX idx_sales_quote_opportunity ON sales_quote (opportunity_id);
CREATE INDEX idx_sales_quote_created_by ON sales_quote (created_by);
CREATE INDEX idx_sales_quote_approved_by ON sales_quote (approved_by);

ALTER TABLE sales_quote ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON sales_quote
    FOR ALL TO authenticated
    USING (org_id = (SELECT tenant_org_id()))
    WITH CHECK (org_id = (SELECT tenant_org_id()));
REVOKE ALL ON sales_quote FROM PUBLIC, anon, authenticated;

CREATE TRIGGER assign_document_number
    BEFORE INSERT ON sales_quote
    FOR EACH ROW EXECUTE FUNCTION assign_document_number('sales_quote', 'quote_number');
CREATE TRIGGER fill_currency
    BEFORE INSERT OR UPDATE OF currency ON sales_quote
    FOR EACH ROW WHEN (NEW.currency IS NULL)
    EXECUTE FUNCTION fill_currency();
CREATE TRIGGER refuse_second_conversion
    BEFORE UPDATE OF converted_to_order_id ON sales_quote
    FOR EACH ROW
    WHEN (
        OLD.converted_to_order_id IS NOT NULL
        AND NEW.converted_to_order_id IS DISTINCT FROM OLD.converted_to_order_id
    )
    EXECUTE FUNCTION refuse_second_conversion();
CREATE TRIGGER stay_in_organization
    BEFORE UPDATE OF org_id ON sales_quote
    FOR EACH ROW WHEN (NEW.org_id IS DISTINCT FROM OLD.org_id)
    EXECUTE FUNCTION stay_in_organization();
CREATE CONSTRAINT TRIGGER same_organization
    AFTER INSERT OR UPDATE OF customer_id, opportunity_id, converted_to_order_id, created_by, approved_by ON sales_quote
    FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(
        'org_id',
        'customer_id customer', 'opportunity_id opportunity', 'converted_to_order_id sales_order',
        'created_by profile', 'approved_by profile'
    );
CREATE TRIGGER touch_updated_at
    BEFORE UPDATE ON sales_quote
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER record_audit
    AFTER INSERT OR UPDATE OR DELETE ON sales_quote
    FOR EACH ROW EXECUTE FUNCTION record_audit();

-- step: items of quotes
-- The product is asked for at the end of the transaction: when an organisation is deleted, its products go one step before
-- its lines do, and a check in between would refuse it. An insert is checked at once all the same, by same_organization.
CREATE TABLE sales_quote_item (
    id                   uuid           PRIMARY KEY DEFAULT gen_random_uuid(),
    quote_id             uuid           NOT NULL,
    product_id           uuid           NOT NULL,
    description          text,
    quantity             numeric(10,3)  NOT NULL,
    unit_price           numeric(10,2)  NOT NULL,
    discount_percentage  numeric(5,2)   DEFAULT 0,
    line_total           numeric(12,2),
    tax_rate             numeric(5,2)   DEFAULT 0,
    notes                text,
    created_at           timestamptz    DEFAULT now(),

    CONSTRAINT sales_quote_item_quote_id_fkey
        FOREIGN KEY (quote_id) REFERENCES sales_quote (id) ON DELETE CASCADE,
    CONSTRAINT sales_quote_item_product_id_fkey
        FOREIGN KEY (product_id) REFERENCES product (id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT sales_quote_item_quantity_positive
        CHECK (quantity > 0),
    CONSTRAINT sales_quote_item_unit_price_not_negative
        CHECK (unit_price >= 0),
    CONSTRAINT sales_quote_item_discount_is_a_percentage
        CHECK (discount_percentage BETWEEN 0 AND 100),
    CONSTRAINT sales_quote_item_tax_rate_is_a_percentage
        CHECK (tax_rate BETWEEN 0 AND 100),
    CONSTRAINT sales_quote_item_line_total_is_quantity_times_price
        CHECK (
            (
                line_total = round(quantity * unit_price * (100 - coalesce(discount_percentage, 0)) * 0.01, 2)
                OR line_total = round(quantity * unit_price * (100 - coalesce(discount_percentage, 0)) * 0.01, 0)
            ) IS TRUE
        )
);

COMMENT ON TABLE  sales_quote_item                     IS 'A line of a quote.';
COMMENT ON COLUMN sales_quote_item.description         IS 'personal data: free text: may name people.';
COMMENT ON COLUMN sales_quote_item.notes               IS 'personal data: free text: may name people.';
COMMENT ON COLUMN sales_quote_item.unit_price          IS 'money: price of one unit, in the quote''s currency.';
COMMENT ON COLUMN sales_quote_item.discount_percentage IS 'money: what is taken off this line, in percent.';
COMMENT ON COLUMN sales_quote_item.line_total          IS 'money: quantity * unit_price less the discount, before tax, half a minor unit rounded up; kept by trigger.';
COMMENT ON COLUMN sales_quote_item.tax_rate            IS 'money: tax on line_total, in percent.';

CREATE INDEX idx_sales_quote_item_quote ON sales_quote_item (quote_id);
CREATE INDEX idx_sales_quote_item_product ON sales_quote_item (product_id);

ALTER TABLE sales_quote_item ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON sales_quote_item
    FOR ALL TO authenticated
    USING (EXISTS (SELECT FROM sales_quote WHERE id = quote_id AND org_id = (SELECT tenant_org_id())))
    WITH CHECK (EXISTS (SELECT FROM sales_quote WHERE id = quote_id AND org_id = (SELECT tenant_org_id())));
REVOKE ALL ON sales_quote_item FROM PUBLIC, anon, authenticated;

CREATE TRIGGER keep_line_total
    BEFORE INSERT OR UPDATE ON sales_quote_item
    FOR EACH ROW EXECUTE FUNCTION keep_line_total('sales_quote', 'quote_id');
CREATE TRIGGER carry_totals_of_inserted
    AFTER INSERT ON sales_quote_item
    REFERENCING NEW TABLE AS items_after
    FOR EACH STATEMENT EXECUTE FUNCTION carry_totals_to_header('sales_quote', 'quote_id');
CREATE TRIGGER carry_totals_of_updated
    AFTER UPDATE ON sales_quote_item
    REFERENCING OLD TABLE AS items_before NEW TABLE AS items_after
    FOR EACH STATEMENT EXECUTE FUNCTION carry_totals_to_header('sales_quote', 'quote_id');
CREATE TRIGGER carry_totals_of_deleted
    AFTER DELETE ON sales_quote_item
    REFERENCING OLD TABLE AS items_before
    FOR EACH STATEMENT EXECUTE FUNCTION carry_totals_to_header('sales_quote', 'quote_id');
CREATE TRIGGER carry_totals_of_truncated
    AFTER TRUNCATE ON sales_quote_item
    FOR EACH STATEMENT EXECUTE FUNCTION carry_totals_to_header('sales_quote', 'quote_id');
CREATE CONSTRAINT TRIGGER same_organization
    AFTER INSERT OR UPDATE OF quote_id, product_id ON sales_quote_item
    FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization('quote_id sales_quote', 'product_id product');
CREATE TRIGGER record_audit
    AFTER INSERT OR UPDATE OR DELETE ON sales_quote_item
    FOR EACH ROW EXECUTE FUNCTION record_audit('quote_id sales_quote');

-- step: orders
CREATE TABLE sales_order (
    id                       uuid                PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id                   uuid                NOT NULL,
    customer_id              uuid                NOT NULL,
    quote_id                 uuid,
    order_number             text                NOT NULL,
    status                   sales_order_status  DEFAULT 'draft',
    currency                 currency_code,
    subtotal                 numeric(12,2)       DEFAULT 0,
    tax_amount               numeric(12,2)       DEFAULT 0,
    shipping_amount          numeric(12,2)       DEFAULT 0,
    discount_amount          numeric(12,2)       DEFAULT 0,
    total_amount             numeric(12,2)       DEFAULT 0,
    order_date               date                DEFAULT CURRENT_DATE,
    requested_delivery_date  date,
    promised_delivery_date   date,
    actual_delivery_date     date,
    shipping_address         jsonb,
    billing_address          jsonb,
    payment_terms            text,
    created_by               uuid                NOT NULL,
    approved_by              uuid,
    approved_at              timestamptz,
    created_at               timestamptz         DEFAULT now(),
    updated_at               timestamptz         DEFAULT now(),

    CONSTRAINT sales_order_quote_id_fkey
        FOREIGN KEY (quote_id) REFERENCES sales_quote (id),
    CONSTRAINT sales_order_number_is_unique_in_organization
        UNIQUE (org_id, order_number),
    CONSTRAINT sales_order_one_per_quote
        UNIQUE (quote_id),
    CONSTRAINT sales_order_number_length
        CHECK (char_length(order_number) BETWEEN 1 AND 50),
    CONSTRAINT sales_order_amounts_not_negative
        CHECK (subtotal >= 0 AND tax_amount >= 0 AND shipping_amount >= 0 AND discount_amount >= 0),
    CONSTRAINT sales_order_total_adds_up
        CHECK ((total_amount = subtotal + tax_amount + shipping_amount - discount_amount) IS TRUE),
    -- A draft is still being written, and a header comes before its lines.
    CONSTRAINT sales_order_total_not_negative
        CHECK (total_amount >= 0 OR subtotal = 0 OR coalesce(status, 'draft') = 'draft'),
    CONSTRAINT sales_order_requested_after_ordered
        CHECK (requested_delivery_date >= order_date),
    CONSTRAINT sales_order_promised_after_ordered
        CHECK (promised_delivery_date >= order_date),
    CONSTRAINT sales_order_delivered_after_ordered
        CHECK (actual_delivery_date >= order_date),
    CONSTRAINT sales_order_approval_has_person_and_time
        CHECK ((approved_by IS NULL) = (approved_at IS NULL))
);

COMMENT ON TABLE  sales_order                  IS 'An order of a customer; at most one of a quote.';
COMMENT ON COLUMN sales_order.order_number     IS 'Drawn by trigger when the client gives none.';
COMMENT ON COLUMN sales_order.currency         IS 'money: the currency of all amounts; the organisation''s where the client names none.';
COMMENT ON COLUMN sales_order.subtotal         IS 'money: sum of line_total, in currency; kept by trigger.';
COMMENT ON COLUMN sales_order.tax_amount       IS 'money: tax of the lines, rounded on each line, in currency; kept by trigger.';
COMMENT ON COLUMN sales_order.shipping_amount  IS 'money: in currency.';
COMMENT ON COLUMN sales_order.discount_amount  IS 'money: off the whole order, beside the lines'' own discounts, in currency.';
COMMENT ON COLUMN sales_order.total_amount     IS 'money: subtotal + tax + shipping - discount, in currency; kept by trigger.';
COMMENT ON COLUMN sales_order.payment_terms    IS 'Not personal: when and how the customer pays.';
COMMENT ON COLUMN sales_order.shipping_address IS 'personal data: location: where the goods go.';
COMMENT ON COLUMN sales_order.billing_address  IS 'personal data: location: where the invoice goes.';

CREATE INDEX idx_sales_order_org_status ON sales_order (org_id, status);
CREATE INDEX idx_sales_order_org_order_date ON sales_order (org_id, order_date DESC);
CREATE INDEX idx_sales_order_customer ON sales_order (customer_id, order_date DESC);
CREATE INDEX idx_sales_order_created_by ON sales_order (created_by);
CREATE INDEX idx_sales_order_approved_by ON sales_order (approved_by);

ALTER TABLE sales_order ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON sales_order
    FOR ALL TO authenticated
    USING (org_id = (SELECT tenant_org_id()))
    WITH CHECK (org_id = (SELECT tenant_org_id()));
REVOKE ALL ON sales_order FROM PUBLIC, anon, authenticated;

CREATE TRIGGER assign_document_number
    BEFORE INSERT ON sales_order
    FOR EACH ROW EXECUTE FUNCTION assign_document_number('sales_order', 'order_number');
CREATE TRIGGER fill_currency
    BEFORE INSERT OR UPDATE OF currency ON sales_order
    FOR EACH ROW WHEN (NEW.currency IS NULL)
    EXECUTE FUNCTION fill_currency();
CREATE TRIGGER stay_in_organization
    BEFORE UPDATE OF org_id ON sales_order
    FOR EACH ROW WHEN (NEW.org_id IS DISTINCT FROM OLD.org_id)
    EXECUTE FUNCTION stay_in_organization();
CREATE CONSTRAINT TRIGGER same_organization
    AFTER INSERT OR UPDATE OF customer_id, quote_id, created_by, approved_by ON sales_order
    FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(
        'org_id', 'customer_id customer', 'quote_id sales_quote', 'created_by profile', 'approved_by profile'
    );
CREATE TRIGGER touch_updated_at
    BEFORE UPDATE ON sales_order
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER record_audit
    AFTER INSERT OR UPDATE OR DELETE ON sales_order
    FOR EACH ROW EXECUTE FUNCTION record_audit();

-- step: items of orders
-- The product is asked for at the end of the transaction, as with the items of quotes.
CREATE TABLE sales_order_item (
    id                   uuid           PRIMARY KEY DEFAULT gen_random_uuid(),
    order_id             uuid           NOT NULL,
    product_id           uuid           NOT NULL,
    description          text,
    quantity             numeric(10,3)  NOT NULL,
    unit_price           numeric(10,2)  NOT NULL,
    discount_percentage  numeric(5,2)   DEFAULT 0,
    line_total           numeric(12,2),
    tax_rate             numeric(5,2)   DEFAULT 0,
    quantity_shipped     numeric(10,3)  DEFAULT 0,
    quantity_invoiced    numeric(10,3)  DEFAULT 0,
    notes                text,
    created_at           timestamptz    DEFAULT now(),
    updated_at           timestamptz    DEFAULT now(),

    CONSTRAINT sales_order_item_order_id_fkey
        FOREIGN KEY (order_id) REFERENCES sales_order (id) ON DELETE CASCADE,
    CONSTRAINT sales_order_item_product_id_fkey
        FOREIGN KEY (product_id) REFERENCES product (id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT sales_order_item_quantity_positive
        CHECK (quantity > 0),
    CONSTRAINT sales_order_item_unit_price_not_negative
        CHECK (unit_price >= 0),
    CONSTRAINT sales_order_item_discount_is_a_percentage
        CHECK (discount_percentage BETWEEN 0 AND 100),
    CONSTRAINT sales_order_item_tax_rate_is_a_percentage
        CHECK (tax_rate BETWEEN 0 AND 100),
    CONSTRAINT sales_order_item_shipped_was_ordered
        CHECK (quantity_shipped BETWEEN 0 AND quantity),
    CONSTRAINT sales_order_item_invoiced_was_ordered
        CHECK (quantity_invoiced BETWEEN 0 AND quantity),
    CONSTRAINT sales_order_item_line_total_is_quantity_times_price
        CHECK (
            (
                line_total = round(quantity * unit_price * (100 - coalesce(discount_percentage, 0)) * 0.01, 2)
                OR line_total = round(quantity * unit_price * (100 - coalesce(discount_percentage, 0)) * 0.01, 0)
            ) IS TRUE
        )
);

COMMENT ON TABLE  sales_order_item                     IS 'A line of an order.';
COMMENT ON COLUMN sales_order_item.description         IS 'personal data: free text: may name people.';
COMMENT ON COLUMN sales_order_item.notes               IS 'personal data: free text: may name people.';
COMMENT ON COLUMN sales_order_item.unit_price          IS 'money: price of one unit, in the order''s currency.';
COMMENT ON COLUMN sales_order_item.discount_percentage IS 'money: what is taken off this line, in percent.';
COMMENT ON COLUMN sales_order_item.line_total          IS 'money: quantity * unit_price less the discount, before tax, half a minor unit rounded up; kept by trigger.';
COMMENT ON COLUMN sales_order_item.tax_rate            IS 'money: tax on line_total, in percent.';

CREATE INDEX idx_sales_order_item_order ON sales_order_item (order_id);
CREATE INDEX idx_sales_order_item_product ON sales_order_item (product_id);

ALTER TABLE sales_order_item ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON sales_order_item
    FOR ALL TO authenticated
    USING (EXISTS (SELECT FROM sales_order WHERE id = order_id AND org_id = (SELECT tenant_org_id())))
    WITH CHECK (EXISTS (SELECT FROM sales_order WHERE id = order_id AND org_id = (SELECT tenant_org_id())));
REVOKE ALL ON sales_order_item FROM PUBLIC, anon, authenticated;

CREATE TRIGGER keep_line_total
    BEFORE INSERT OR UPDATE ON sales_order_item
    FOR EACH ROW EXECUTE FUNCTION keep_line_total('sales_order', 'order_id');
CREATE TRIGGER carry_totals_of_inserted
    AFTER INSERT ON sales_order_item
    REFERENCING NEW TABLE AS items_after
    FOR EACH STATEMENT EXECUTE FUNCTION carry_totals_to_header('sales_order', 'order_id');
CREATE TRIGGER carry_totals_of_updated
    AFTER UPDATE ON sales_order_item
    REFERENCING OLD TABLE AS items_before NEW TABLE AS items_after
    FOR EACH STATEMENT EXECUTE FUNCTION carry_totals_to_header('sales_order', 'order_id');
CREATE TRIGGER carry_totals_of_deleted
    AFTER DELETE ON sales_order_item
    REFERENCING OLD TABLE AS items_before
    FOR EACH STATEMENT EXECUTE FUNCTION carry_totals_to_header('sales_order', 'order_id');
CREATE TRIGGER carry_totals_of_truncated
    AFTER TRUNCATE ON sales_order_item
    FOR EACH STATEMENT EXECUTE FUNCTION carry_totals_to_header('sales_order', 'order_id');
CREATE CONSTRAINT TRIGGER same_organization
    AFTER INSERT OR UPDATE OF order_id, product_id ON sales_order_item
    FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization('order_id sales_order', 'product_id product');
CREATE TRIGGER touch_updated_at
    BEFORE UPDATE ON sales_order_item
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER record_audit
    AFTER INSERT OR UPDATE OR DELETE ON sales_order_item
    FOR EACH ROW EXECUTE FUNCTION record_audit('order_id sales_order');

-- The sums are taken from tables of items, which had to exist first.
CREATE TRIGGER keep_sales_totals
    BEFORE INSERT OR UPDATE ON sales_quote
    FOR EACH ROW EXECUTE FUNCTION keep_sales_totals('sales_quote_item', 'quote_id');
CREATE TRIGGER keep_sales_totals
    BEFORE INSERT OR UPDATE ON sales_order
    FOR EACH ROW EXECUTE FUNCTION keep_sales_totals('sales_order_item', 'order_id');

-- step: performance of suppliers
CREATE TABLE supplier_performance (
    id                       uuid           PRIMARY KEY DEFAULT gen_random_uuid(),
    supplier_id              uuid           NOT NULL,
    evaluation_period_start  date           NOT NULL,
    evaluation_period_end    date           NOT NULL,
    quality_score            integer,
    delivery_score           integer,
    cost_score               integer,
    overall_score            integer,
    orders_count             integer        DEFAULT 0,
    on_time_deliveries       integer        DEFAULT 0,
    quality_issues           integer        DEFAULT 0,
    total_spend              numeric(15,2)  DEFAULT 0,
    evaluator_id             uuid,
    notes                    text,
    created_at               timestamptz    DEFAULT now(),

    CONSTRAINT supplier_performance_period_ends_after_it_begins
        CHECK (evaluation_period_end >= evaluation_period_start),
    CONSTRAINT supplier_performance_scores_are_percentages
        CHECK (
            quality_score BETWEEN 0 AND 100
            AND delivery_score BETWEEN 0 AND 100
            AND cost_score BETWEEN 0 AND 100
            AND overall_score BETWEEN 0 AND 100
        ),
    CONSTRAINT supplier_performance_counts_not_negative
        CHECK (orders_count >= 0 AND on_time_deliveries >= 0 AND quality_issues >= 0),
    CONSTRAINT supplier_performance_on_time_were_ordered
        CHECK (on_time_deliveries <= orders_count),
    CONSTRAINT supplier_performance_total_spend_not_negative
        CHECK (total_spend >= 0)
);

COMMENT ON TABLE  supplier_performance             IS 'How a supplier did in a period; scores from 0 to 100.';
COMMENT ON COLUMN supplier_performance.total_spend IS 'money: what was bought in the period, in the organisation''s currency.';
COMMENT ON COLUMN supplier_performance.notes       IS 'personal data: free text: may name people.';

CREATE INDEX idx_supplier_performance_supplier ON supplier_performance (supplier_id, evaluation_period_end DESC);
CREATE INDEX idx_supplier_performance_evaluator ON supplier_performance (evaluator_id);

ALTER TABLE supplier_performance ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON supplier_performance
    FOR ALL TO authenticated
    USING (EXISTS (SELECT FROM supplier WHERE id = supplier_id AND org_id = (SELECT tenant_org_id())))
    WITH CHECK (EXISTS (SELECT FROM supplier WHERE id = supplier_id AND org_id = (SELECT tenant_org_id())));
REVOKE ALL ON supplier_performance FROM PUBLIC, anon, authenticated;

CREATE CONSTRAINT TRIGGER same_organization
    AFTER INSERT OR UPDATE OF supplier_id, evaluator_id ON supplier_performance
    FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization('supplier_id supplier', 'evaluator_id profile');
CREATE TRIGGER record_audit
    AFTER INSERT OR UPDATE OR DELETE ON supplier_performance
    FOR EACH ROW EXECUTE FUNCTION record_audit('supplier_id supplier');

-- step: quality control
CREATE TABLE quality_control (
    id                  uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id              uuid         NOT NULL,
    purchase_order_id   uuid,
    inventory_item_id   uuid         NOT NULL,
    batch_number        text,
    serial_number       text,
    inspection_date     date         DEFAULT CURRENT_DATE,
    inspector_id        uuid         NOT NULL,
    status              qc_status    DEFAULT 'pending',
    test_results        jsonb        DEFAULT '{}',
    defects_found       text[]       DEFAULT '{}',
    corrective_actions  text[]       DEFAULT '{}',
    approved_quantity   integer      DEFAULT 0,
    rejected_quantity   integer      DEFAULT 0,
    rework_quantity     integer      DEFAULT 0,
    notes               text,
    created_at          timestamptz  DEFAULT now(),
    updated_at          timestamptz  DEFAULT now(),

    CONSTRAINT quality_control_quantities_not_negative
        CHECK (approved_quantity >= 0 AND rejected_quantity >= 0 AND rework_quantity >= 0)
);

COMMENT ON TABLE  quality_control                    IS 'An inspection of stock, delivered by a purchase order or found on the shelf.';
COMMENT ON COLUMN quality_control.test_results       IS 'personal data: free text: whatever the application notes.';
COMMENT ON COLUMN quality_control.defects_found      IS 'Not personal: what is wrong with the goods.';
COMMENT ON COLUMN quality_control.corrective_actions IS 'personal data: free text: may name people.';
COMMENT ON COLUMN quality_control.notes              IS 'personal data: free text: may name people.';

CREATE INDEX idx_quality_control_org_status ON quality_control (org_id, status);
CREATE INDEX idx_quality_control_org_inspection_date ON quality_control (org_id, inspection_date DESC);
CREATE INDEX idx_quality_control_purchase_order ON quality_control (purchase_order_id);
CREATE INDEX idx_quality_control_inventory_item ON quality_control (inventory_item_id, inspection_date DESC);
CREATE INDEX idx_quality_control_inspector ON quality_control (inspector_id);

ALTER TABLE quality_control ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON quality_control
    FOR ALL TO authenticated
    USING (org_id = (SELECT tenant_org_id()))
    WITH CHECK (org_id = (SELECT tenant_org_id()));
REVOKE ALL ON quality_control FROM PUBLIC, anon, authenticated;

CREATE TRIGGER stay_in_organization
    BEFORE UPDATE OF org_id ON quality_control
    FOR EACH ROW WHEN (NEW.org_id IS DISTINCT FROM OLD.org_id)
    EXECUTE FUNCTION stay_in_organization();
CREATE CONSTRAINT TRIGGER same_organization
    AFTER INSERT OR UPDATE OF purchase_order_id, inventory_item_id, inspector_id ON quality_control
    FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(
        'org_id', 'purchase_order_id purchase_order', 'inventory_item_id inventory_item', 'inspector_id profile'
    );
CREATE TRIGGER touch_updated_at
    BEFORE UPDATE ON quality_control
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER record_audit
    AFTER INSERT OR UPDATE OR DELETE ON quality_control
    FOR EACH ROW EXECUTE FUNCTION record_audit();

-- step: from lead to order
-- All three run as their caller: row-level security decides what can be found and written. The row that is converted is
-- locked first, so that of two sessions the second waits, and then finds it converted.
CREATE FUNCTION convert_lead(
    lead_id               uuid,
    opportunity_name      text DEFAULT NULL,
    opportunity_amount    numeric DEFAULT NULL,
    opportunity_currency  currency_code DEFAULT NULL,
    OUT customer_id       uuid,
    OUT contact_id        uuid,
    OUT opportunity_id    uuid
)
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
DECLARE
    source   lead%ROWTYPE;
    company  text;
    person   text;
BEGIN
    SELECT * INTO source FROM lead WHERE id = convert_lead.lead_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no lead %', convert_lead.lead_id USING ERRCODE = 'no_data_found';
    END IF;
    IF source.converted_at IS NOT NULL THEN
        RAISE EXCEPTION 'lead % was converted on %', source.id, source.converted_at::date
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = coalesce('It became the customer ' || source.converted_to_customer_id || '.', 'Its customer was deleted since.');
    END IF;
    IF source.status = 'lost' THEN
        RAISE EXCEPTION 'lead % is lost', source.id
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Give it another status first.';
    END IF;

    company := nullif(btrim(source.company), '');
    person := source.first_name || ' ' || source.last_name;

    INSERT INTO customer (org_id, name, email, phone, company, segment, status, acquisition_date, tags, metadata)
    VALUES (
        source.org_id,
        left(coalesce(company, person), 200),
        source.email,
        source.phone,
        company,
        CASE WHEN company IS NULL THEN 'individual'::customer_segment END,
        'active',
        current_date,
        coalesce(source.tags, '{}'),
        jsonb_strip_nulls(jsonb_build_object('lead_id', source.id, 'source', source.source))
    )
    RETURNING id INTO convert_lead.customer_id;

    INSERT INTO customer_contact (customer_id, first_name, last_name, title, email, phone, is_primary)
    VALUES (convert_lead.customer_id, source.first_name, source.last_name, source.title, source.email, source.phone, true)
    RETURNING id INTO convert_lead.contact_id;

    -- What was noted for the lead is the customer's from now on. An opportunity that is there is not made once more.
    UPDATE crm_activity AS a SET customer_id = convert_lead.customer_id WHERE a.lead_id = source.id AND a.customer_id IS NULL;
    UPDATE opportunity AS o SET customer_id = convert_lead.customer_id WHERE o.lead_id = source.id AND o.customer_id IS NULL;
    SELECT o.id INTO convert_lead.opportunity_id FROM opportunity AS o WHERE o.lead_id = source.id ORDER BY o.created_at, o.id LIMIT 1;

    IF convert_lead.opportunity_id IS NULL THEN
        INSERT INTO opportunity (
            org_id, customer_id, lead_id, name, stage, amount, currency, assigned_to, expected_close_date
        )
        VALUES (
            source.org_id,
            convert_lead.customer_id,
            source.id,
            left(coalesce(nullif(btrim(opportunity_name), ''), company, person), 200),
            'qualification',
            coalesce(opportunity_amount, source.estimated_value, 0),
            opportunity_currency,
            source.assigned_to,
            source.expected_close_date
        )
        RETURNING id INTO convert_lead.opportunity_id;
    END IF;

    UPDATE lead
    SET status = 'won', converted_to_customer_id = convert_lead.customer_id, converted_at = now()
    WHERE id = source.id;
END
$$;

COMMENT ON FUNCTION convert_lead(uuid, text, numeric, currency_code) IS
    'Makes a customer and its primary contact of a lead, and an opportunity unless it has one, and marks the lead won. SQLSTATE 55000: converted before, or lost; P0002: no such lead for the caller.';

CREATE FUNCTION accept_quote(quote_id uuid)
    RETURNS void
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
DECLARE
    quote     sales_quote%ROWTYPE;
    obstacle  text;
BEGIN
    SELECT * INTO quote FROM sales_quote WHERE id = accept_quote.quote_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no quote %', accept_quote.quote_id USING ERRCODE = 'no_data_found';
    END IF;

    obstacle := CASE
        WHEN quote.converted_to_order_id IS NOT NULL THEN 'is converted to order ' || quote.converted_to_order_id
        WHEN quote.status NOT IN ('draft', 'pending') THEN 'is ' || quote.status
        WHEN quote.valid_until < current_date THEN 'was valid until ' || quote.valid_until
        WHEN NOT EXISTS (SELECT FROM sales_quote_item AS item WHERE item.quote_id = quote.id) THEN 'has no items'
    END;
    IF obstacle IS NOT NULL THEN
        RAISE EXCEPTION 'quote % %', quote.quote_number, obstacle USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;

    UPDATE sales_quote
    SET status = 'confirmed',
        approved_by = coalesce(approved_by, tenant_user_id()),
        approved_at = coalesce(approved_at, CASE WHEN tenant_user_id() IS NOT NULL THEN now() END)
    WHERE id = quote.id;
END
$$;

COMMENT ON FUNCTION accept_quote(uuid) IS
    'Confirms a draft or pending quote that has items and is still valid; the approver is the current user, if there is one. SQLSTATE 55000: cannot be accepted; P0002: no such quote for the caller.';

CREATE FUNCTION convert_quote_to_order(quote_id uuid)
    RETURNS uuid
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
DECLARE
    quote     sales_quote%ROWTYPE;
    order_id  uuid;
BEGIN
    SELECT * INTO quote FROM sales_quote WHERE id = convert_quote_to_order.quote_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no quote %', convert_quote_to_order.quote_id USING ERRCODE = 'no_data_found';
    END IF;
    IF quote.converted_to_order_id IS NOT NULL THEN
        RAISE EXCEPTION 'quote % is converted to order %', quote.quote_number, quote.converted_to_order_id
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF quote.status IS DISTINCT FROM 'confirmed' THEN
        PERFORM accept_quote(quote.id);
    END IF;

    INSERT INTO sales_order (
        org_id, customer_id, quote_id, status, currency, shipping_amount, discount_amount,
        shipping_address, billing_address, created_by
    )
    SELECT
        quote.org_id, quote.customer_id, quote.id, 'confirmed', quote.currency, quote.shipping_amount, quote.discount_amount,
        customer.address, customer.address, coalesce(tenant_user_id(), quote.created_by)
    FROM customer
    WHERE customer.id = quote.customer_id
    RETURNING id INTO order_id;

    INSERT INTO sales_order_item (
        order_id, product_id, description, quantity, unit_price, discount_percentage, tax_rate, notes, created_at
    )
    SELECT
        order_id, item.product_id, item.description, item.quantity, item.unit_price,
        item.discount_percentage, item.tax_rate, item.notes, now()
    FROM sales_quote_item AS item
    WHERE item.quote_id = quote.id;

    UPDATE sales_quote SET status = 'completed', converted_to_order_id = order_id WHERE id = quote.id;

    UPDATE opportunity
    SET stage = 'won', is_won = true, probability = 100, actual_close_date = current_date
    WHERE id = quote.opportunity_id
      AND stage NOT IN ('won', 'lost');

    RETURN order_id;
END
$$;

COMMENT ON FUNCTION convert_quote_to_order(uuid) IS
    'Makes an order of a quote, with its items, prices and currency, accepting it first if need be; its opportunity is won. SQLSTATE 55000: converted before, or cannot be accepted; P0002: no such quote for the caller.';

REVOKE EXECUTE ON FUNCTION
    convert_lead(uuid, text, numeric, currency_code),
    accept_quote(uuid),
    convert_quote_to_order(uuid)
    FROM PUBLIC, anon, authenticated;

-- step: foreign keys to organization
ALTER TABLE document_number ADD CONSTRAINT document_number_org_id_fkey
    FOREIGN KEY (org_id) REFERENCES organization (id) ON DELETE CASCADE NOT VALID;
ALTER TABLE lead ADD CONSTRAINT lead_org_id_fkey
    FOREIGN KEY (org_id) REFERENCES organization (id) ON DELETE CASCADE NOT VALID;
ALTER TABLE opportunity ADD CONSTRAINT opportunity_org_id_fkey
    FOREIGN KEY (org_id) REFERENCES organization (id) ON DELETE CASCADE NOT VALID;
ALTER TABLE crm_activity ADD CONSTRAINT crm_activity_org_id_fkey
    FOREIGN KEY (org_id) REFERENCES organization (id) ON DELETE CASCADE NOT VALID;
ALTER TABLE product ADD CONSTRAINT product_org_id_fkey
    FOREIGN KEY (org_id) REFERENCES organization (id) ON DELETE CASCADE NOT VALID;
ALTER TABLE price_list ADD CONSTRAINT price_list_org_id_fkey
    FOREIGN KEY (org_id) REFERENCES organization (id) ON DELETE CASCADE NOT VALID;
ALTER TABLE sales_quote ADD CONSTRAINT sales_quote_org_id_fkey
    FOREIGN KEY (org_id) REFERENCES organization (id) ON DELETE CASCADE NOT VALID;
ALTER TABLE sales_order ADD CONSTRAINT sales_order_org_id_fkey
    FOREIGN KEY (org_id) REFERENCES organization (id) ON DELETE CASCADE NOT VALID;
ALTER TABLE quality_control ADD CONSTRAINT quality_control_org_id_fkey
    FOREIGN KEY (org_id) REFERENCES organization (id) ON DELETE CASCADE NOT VALID;

-- step: foreign keys to profile
-- Who created, approved or inspected holds his profile back, as in the baseline; a mere assignment does not.
ALTER TABLE lead ADD CONSTRAINT lead_assigned_to_fkey
    FOREIGN KEY (assigned_to) REFERENCES profile (id) ON DELETE SET NULL NOT VALID;
ALTER TABLE opportunity ADD CONSTRAINT opportunity_assigned_to_fkey
    FOREIGN KEY (assigned_to) REFERENCES profile (id) ON DELETE SET NULL NOT VALID;
ALTER TABLE crm_activity
    ADD CONSTRAINT crm_activity_assigned_to_fkey
        FOREIGN KEY (assigned_to) REFERENCES profile (id) ON DELETE SET NULL NOT VALID,
    ADD CONSTRAINT crm_activity_created_by_fkey
        FOREIGN KEY (created_by) REFERENCES profile (id) NOT VALID;
ALTER TABLE sales_quote
    ADD CONSTRAINT sales_quote_created_by_fkey
        FOREIGN KEY (created_by) REFERENCES profile (id) NOT VALID,
    ADD CONSTRAINT sales_quote_approved_by_fkey
        FOREIGN KEY (approved_by) REFERENCES profile (id) NOT VALID;
ALTER TABLE sales_order
    ADD CONSTRAINT sales_order_created_by_fkey
        FOREIGN KEY (created_by) REFERENCES profile (id) NOT VALID,
    ADD CONSTRAINT sales_order_approved_by_fkey
        FOREIGN KEY (approved_by) REFERENCES profile (id) NOT VALID;
ALTER TABLE supplier_performance ADD CONSTRAINT supplier_performance_evaluator_id_fkey
    FOREIGN KEY (evaluator_id) REFERENCES profile (id) ON DELETE SET NULL NOT VALID;
ALTER TABLE quality_control ADD CONSTRAINT quality_control_inspector_id_fkey
    FOREIGN KEY (inspector_id) REFERENCES profile (id) NOT VALID;

-- step: foreign keys to customer
-- What names a person goes with the customer; what names money holds the customer back.
ALTER TABLE customer_contact ADD CONSTRAINT customer_contact_customer_id_fkey
    FOREIGN KEY (customer_id) REFERENCES customer (id) ON DELETE CASCADE NOT VALID;
ALTER TABLE lead ADD CONSTRAINT lead_converted_to_customer_id_fkey
    FOREIGN KEY (converted_to_customer_id) REFERENCES customer (id) ON DELETE SET NULL NOT VALID;
ALTER TABLE opportunity ADD CONSTRAINT opportunity_customer_id_fkey
    FOREIGN KEY (customer_id) REFERENCES customer (id) ON DELETE SET NULL NOT VALID;
ALTER TABLE crm_activity ADD CONSTRAINT crm_activity_customer_id_fkey
    FOREIGN KEY (customer_id) REFERENCES customer (id) ON DELETE CASCADE NOT VALID;
ALTER TABLE sales_quote ADD CONSTRAINT sales_quote_customer_id_fkey
    FOREIGN KEY (customer_id) REFERENCES customer (id) NOT VALID;
ALTER TABLE sales_order ADD CONSTRAINT sales_order_customer_id_fkey
    FOREIGN KEY (customer_id) REFERENCES customer (id) NOT VALID;

-- step: a customer that is referred to stays in its organisation
CREATE TRIGGER stay_in_organization
    BEFORE UPDATE OF org_id ON customer
    FOR EACH ROW WHEN (NEW.org_id IS DISTINCT FROM OLD.org_id)
    EXECUTE FUNCTION stay_in_organization(
        'lead converted_to_customer_id', 'opportunity customer_id', 'crm_activity customer_id',
        'sales_quote customer_id', 'sales_order customer_id'
    );

-- step: foreign keys to inventory_item
ALTER TABLE product ADD CONSTRAINT product_inventory_item_id_fkey
    FOREIGN KEY (inventory_item_id) REFERENCES inventory_item (id) ON DELETE SET NULL NOT VALID;
ALTER TABLE quality_control ADD CONSTRAINT quality_control_inventory_item_id_fkey
    FOREIGN KEY (inventory_item_id) REFERENCES inventory_item (id) NOT VALID;

-- step: an inventory item that is referred to stays in its organisation
CREATE TRIGGER stay_in_organization
    BEFORE UPDATE OF org_id ON inventory_item
    FOR EACH ROW WHEN (NEW.org_id IS DISTINCT FROM OLD.org_id)
    EXECUTE FUNCTION stay_in_organization('product inventory_item_id', 'quality_control inventory_item_id');

-- step: foreign keys to purchase_order
ALTER TABLE quality_control ADD CONSTRAINT quality_control_purchase_order_id_fkey
    FOREIGN KEY (purchase_order_id) REFERENCES purchase_order (id) ON DELETE SET NULL NOT VALID;

-- step: a purchase order that is referred to stays in its organisation
CREATE TRIGGER stay_in_organization
    BEFORE UPDATE OF org_id ON purchase_order
    FOR EACH ROW WHEN (NEW.org_id IS DISTINCT FROM OLD.org_id)
    EXECUTE FUNCTION stay_in_organization('quality_control purchase_order_id');

-- step: foreign keys to supplier
ALTER TABLE supplier_performance ADD CONSTRAINT supplier_performance_supplier_id_fkey
    FOREIGN KEY (supplier_id) REFERENCES supplier (id) ON DELETE CASCADE NOT VALID;

-- step: validate the foreign keys
ALTER TABLE document_number VALIDATE CONSTRAINT document_number_org_id_fkey;
ALTER TABLE customer_contact VALIDATE CONSTRAINT customer_contact_customer_id_fkey;
ALTER TABLE lead
    VALIDATE CONSTRAINT lead_org_id_fkey,
    VALIDATE CONSTRAINT lead_assigned_to_fkey,
    VALIDATE CONSTRAINT lead_converted_to_customer_id_fkey;
ALTER TABLE opportunity
    VALIDATE CONSTRAINT opportunity_org_id_fkey,
    VALIDATE CONSTRAINT opportunity_customer_id_fkey,
    VALIDATE CONSTRAINT opportunity_assigned_to_fkey;
ALTER TABLE crm_activity
    VALIDATE CONSTRAINT crm_activity_org_id_fkey,
    VALIDATE CONSTRAINT crm_activity_customer_id_fkey,
    VALIDATE CONSTRAINT crm_activity_assigned_to_fkey,
    VALIDATE CONSTRAINT crm_activity_created_by_fkey;
ALTER TABLE product
    VALIDATE CONSTRAINT product_org_id_fkey,
    VALIDATE CONSTRAINT product_inventory_item_id_fkey;
ALTER TABLE price_list VALIDATE CONSTRAINT price_list_org_id_fkey;
ALTER TABLE sales_quote
    VALIDATE CONSTRAINT sales_quote_org_id_fkey,
    VALIDATE CONSTRAINT sales_quote_customer_id_fkey,
    VALIDATE CONSTRAINT sales_quote_created_by_fkey,
    VALIDATE CONSTRAINT sales_quote_approved_by_fkey;
ALTER TABLE sales_order
    VALIDATE CONSTRAINT sales_order_org_id_fkey,
    VALIDATE CONSTRAINT sales_order_customer_id_fkey,
    VALIDATE CONSTRAINT sales_order_created_by_fkey,
    VALIDATE CONSTRAINT sales_order_approved_by_fkey;
ALTER TABLE supplier_performance
    VALIDATE CONSTRAINT supplier_performance_supplier_id_fkey,
    VALIDATE CONSTRAINT supplier_performance_evaluator_id_fkey;
ALTER TABLE quality_control
    VALIDATE CONSTRAINT quality_control_org_id_fkey,
    VALIDATE CONSTRAINT quality_control_purchase_order_id_fkey,
    VALIDATE CONSTRAINT quality_control_inventory_item_id_fkey,
    VALIDATE CONSTRAINT quality_control_inspector_id_fkey;

-- step: open the new tables to the application
GRANT SELECT, INSERT, UPDATE, DELETE ON
    customer_contact, lead, opportunity, crm_activity, product, price_list, product_price, sales_quote, sales_quote_item,
    sales_order, sales_order_item, supplier_performance, quality_control
    TO authenticated;
GRANT SELECT, INSERT, UPDATE ON document_number TO authenticated;
GRANT ALL ON
    customer_contact, lead, opportunity, crm_activity, product, price_list, product_price, sales_quote, sales_quote_item,
    sales_order, sales_order_item, supplier_performance, quality_control, document_number
    TO service_role;
GRANT EXECUTE ON FUNCTION
    currency_minor_units(currency_code),
    round_money(numeric, currency_code),
    organization_currency(uuid),
    next_document_number(uuid, text),
    convert_lead(uuid, text, numeric, currency_code),
    accept_quote(uuid),
    convert_quote_to_order(uuid)
    TO authenticated, service_role;
