-- Migration 003: Financial management
-- phase: 3
-- requires: 001, 002
--
-- What it is: the currency of every amount there is, the chart of accounts, tax rates, exchange rates and conversion,
-- invoices, payments and what they pay, and a double-entry journal whose posted entries nobody changes.
--
-- What it locks: each step takes at most one strong lock on an existing table, for milliseconds: SHARE ROW EXCLUSIVE to
-- hang foreign keys and triggers on organization, profile, customer, sales_order and product; ACCESS EXCLUSIVE to add a
-- column without default to customer, inventory_item, purchase_order and purchase_order_item, to add a NOT VALID check and
-- to set NOT NULL, which the validated check proves without a scan. The amounts themselves are never rewritten.
--
-- What an operator must know:
-- - Currency of an organisation: settings ->> 'currency', exactly a label of currency_code; missing or JSON null means USD.
--   Anything else (ZAR, a typing error, 'eur', an empty text) is undecided. Nothing is guessed: the step "every organisation has a currency" fails and names the codes, until
--   mantis_runbook.decision holds a row for each (subject 'currency', key the code as found, value a label). The same step
--   copies the decisions into currency_mapping, so that nothing depends on the runbook's schema afterwards.
-- - A decision whose value is its own key (ZAR means ZAR) adds that currency: the first step makes it a label of
--   currency_code. PostgreSQL cannot drop a label: a rollback of 003 leaves it, and only one of 001 takes the whole type.
-- - organization_currency(uuid) of 002 read the settings alone and is moved aside, as organization_currency_of_settings();
--   what calls it by name (quotes, orders, opportunities) gets the decided currency from now on. A rollback gives the name back.
-- - After the migration an organisation may still be created with, or changed to, a code that nobody knows; that must
--   not fail, for the old application has always been allowed to. A new one is 'undecided': it may have users, suppliers
--   and settings, but a row that needs a currency is refused (SQLSTATE 22023), because an amount in a wrong currency is
--   worse than none. A changed one is 'kept': what cannot be read changes nothing for customers, items and purchase orders,
--   which keep coming in the currency before; quotes, orders, invoices and the journal are refused as for a new one.
--   decide_currency(code, currency, decided_by) settles both; `SELECT * FROM organization_currency WHERE source IN
--   ('undecided', 'kept')` lists them.
-- - A change of settings changes the currency of rows to come; rows that exist keep theirs.
-- - The backfills run without triggers (SET LOCAL session_replication_role = replica, in the batch's transaction only):
--   the baseline's triggers would stamp updated_at on, and write to audit_log, every row of four tables, though nobody
--   changed anything. PostgreSQL has no narrower way: UPDATE OF does not help, the baseline's triggers name no columns;
--   a trigger cannot be told to pass by one session without altering it for all; a constant default cannot differ by
--   organisation. No constraint is skipped that matters: the statements write the column currency alone, which is in no
--   foreign key, and CHECK, NOT NULL and generated columns hold in that role as well. It needs a superuser, or
--   (PostgreSQL 15) GRANT SET ON PARAMETER session_replication_role.
-- - Rounding is that of 002, round_money(): half away from zero (commercial), to the currency's minor unit. Taxes are
--   rounded line by line.
-- - An organisation with posted journal entries cannot be deleted: books are kept.
-- - The new tables are closed to everybody until the last step grants them: nothing half made is ever used.

-- step: currencies that the operator added
-- A step, and so a transaction, of its own: a label cannot be used before it is committed.
DO $$
DECLARE
    added  text;
BEGIN
    IF to_regclass('mantis_runbook.decision') IS NULL THEN
        RETURN;
    END IF;

    FOR added IN EXECUTE $query$
        SELECT key FROM mantis_runbook.decision WHERE subject = 'currency' AND value = key ORDER BY key
    $query$ LOOP
        IF added !~ '^[A-Z]{3}$' THEN
            RAISE EXCEPTION 'currency to add: found %, expected a code of ISO 4217, three capital letters', quote_literal(added)
                USING ERRCODE = 'invalid_parameter_value',
                      HINT = 'Correct the row of mantis_runbook.decision.';
        END IF;
        EXECUTE format('ALTER TYPE public.currency_code ADD VALUE IF NOT EXISTS %L', added);
    END LOOP;
END
$$;

-- step: currencies of organisations
CREATE TABLE currency_mapping (
    code        text           PRIMARY KEY,
    currency    currency_code  NOT NULL,
    decided_by  text           NOT NULL,
    decided_at  timestamptz    NOT NULL DEFAULT now(),

    CONSTRAINT currency_mapping_code_length
        CHECK (char_length(code) <= 200),
    CONSTRAINT currency_mapping_names_who_decided
        CHECK (char_length(decided_by) BETWEEN 1 AND 200)
);

COMMENT ON TABLE  currency_mapping IS 'What codes in organization.settings mean that are no currency_code: the operator''s decisions, on the record.';
COMMENT ON COLUMN currency_mapping.code IS 'settings ->> ''currency'' as it was found, blanks and case included.';
COMMENT ON COLUMN currency_mapping.decided_by IS 'personal data: identity: who decided.';

CREATE TABLE organization_currency (
    org_id      uuid           PRIMARY KEY,
    currency    currency_code,
    source      text           NOT NULL,
    code_found  text,
    decided_by  text,
    created_at  timestamptz    DEFAULT now(),
    updated_at  timestamptz    DEFAULT now(),

    CONSTRAINT organization_currency_source_is_known
        CHECK (source IN ('settings', 'default', 'mapped', 'kept', 'undecided')),
    CONSTRAINT organization_currency_undecided_means_none
        CHECK ((source = 'undecided') = (currency IS NULL)),
    CONSTRAINT organization_currency_mapping_names_who_decided
        CHECK (source <> 'mapped' OR decided_by IS NOT NULL)
);

COMMENT ON TABLE  organization_currency IS 'The currency of each organisation''s amounts; kept by triggers on organization and by decide_currency().';
COMMENT ON COLUMN organization_currency.currency IS 'money: the currency of amounts to come, and of books; NULL while undecided.';
COMMENT ON COLUMN organization_currency.source IS 'settings: a label there; default: none there, USD is meant; mapped: by currency_mapping; kept: settings name a code nobody knows, the currency before stays in force for the baseline''s tables; undecided: such a code, and no currency before.';
COMMENT ON COLUMN organization_currency.code_found IS 'settings ->> ''currency'' as it was found.';
COMMENT ON COLUMN organization_currency.decided_by IS 'personal data: identity: who decided, where it was mapped.';

ALTER TABLE currency_mapping ENABLE ROW LEVEL SECURITY;
CREATE POLICY currency_mapping_kept_by_service_role ON currency_mapping
    FOR ALL TO service_role
    USING (true)
    WITH CHECK (true);

ALTER TABLE organization_currency ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON organization_currency
    FOR SELECT TO authenticated
    USING (org_id = (SELECT tenant_org_id()));

-- Written by triggers alone: whoever may change the settings changes the currency, and nobody otherwise.
REVOKE ALL ON currency_mapping, organization_currency FROM PUBLIC, anon, authenticated;

CREATE TRIGGER touch_updated_at
    BEFORE UPDATE ON organization_currency
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();

-- step: functions of currencies
CREATE FUNCTION currency_of_settings(
    settings        jsonb,
    OUT currency    currency_code,
    OUT source      text,
    OUT code_found  text,
    OUT decided_by  text
)
    LANGUAGE plpgsql
    STABLE
    SET search_path = public, pg_temp
AS $$
BEGIN
    code_found := settings ->> 'currency';

    IF code_found IS NULL THEN
        currency := 'USD';
        source := 'default';
        RETURN;
    END IF;

    SELECT enumlabel::currency_code, 'settings'
    INTO currency, source
    FROM pg_enum
    WHERE enumtypid = 'currency_code'::regtype
      AND enumlabel = code_found;

    IF currency IS NULL THEN
        SELECT m.currency, 'mapped', m.decided_by
        INTO currency, source, decided_by
        FROM currency_mapping AS m
        WHERE m.code = code_found;
    END IF;

    source := coalesce(source, 'undecided');
END
$$;

COMMENT ON FUNCTION currency_of_settings(jsonb) IS 'The currency that an organisation''s settings mean, and how it was found; NULL and ''undecided'' for a code nobody knows.';

-- SECURITY DEFINER: whoever may write an organisation need not be allowed to write its currency directly.
CREATE FUNCTION keep_organization_currency()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
DECLARE
    found   record;
    stored  organization_currency;
BEGIN
    found := currency_of_settings(NEW.settings);

    IF TG_OP = 'UPDATE' AND found.code_found IS NOT DISTINCT FROM OLD.settings ->> 'currency' THEN
        RETURN NULL;
    END IF;

    INSERT INTO organization_currency AS known (org_id, currency, source, code_found, decided_by)
    VALUES (NEW.id, found.currency, found.source, found.code_found, found.decided_by)
    ON CONFLICT (org_id) DO UPDATE
    SET currency = coalesce(EXCLUDED.currency, known.currency),
        source = CASE WHEN EXCLUDED.currency IS NULL AND known.currency IS NOT NULL THEN 'kept' ELSE EXCLUDED.source END,
        code_found = EXCLUDED.code_found,
        decided_by = EXCLUDED.decided_by
    RETURNING * INTO stored;

    IF stored.source IN ('kept', 'undecided') THEN
        RAISE WARNING 'organization % names the currency %, which nobody has decided yet', NEW.id, quote_literal(found.code_found)
            USING DETAIL = CASE stored.source
                      WHEN 'kept' THEN format('Customers, items and purchase orders stay in %s; other amounts are refused until then.', stored.currency)
                      ELSE 'Amounts of it are refused until then.'
                  END,
                  HINT = 'Ask the operator for decide_currency(code, currency, decided_by).';
    END IF;

    RETURN NULL;
END
$$;

COMMENT ON FUNCTION keep_organization_currency() IS 'Trigger on organization: organization_currency follows the settings.';

CREATE FUNCTION decide_currency(
    code        text,
    currency    currency_code,
    decided_by  text
)
    RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
DECLARE
    mapped  currency_code;
    settled bigint;
BEGIN
    INSERT INTO currency_mapping AS m (code, currency, decided_by)
    VALUES (decide_currency.code, decide_currency.currency, decide_currency.decided_by)
    ON CONFLICT ON CONSTRAINT currency_mapping_pkey DO NOTHING;

    SELECT m.currency INTO mapped FROM currency_mapping AS m WHERE m.code = decide_currency.code;
    IF mapped IS DISTINCT FROM decide_currency.currency THEN
        RAISE EXCEPTION 'currency % was decided before: it is %, not %', quote_literal(code), mapped, decide_currency.currency
            USING ERRCODE = 'unique_violation',
                  HINT = 'A decision stands: rows have been written by it.';
    END IF;

    UPDATE organization_currency AS k
    SET currency = mapped,
        source = 'mapped',
        decided_by = decide_currency.decided_by
    WHERE k.code_found = decide_currency.code
      AND k.source IN ('kept', 'undecided');

    GET DIAGNOSTICS settled = ROW_COUNT;
    RETURN settled;
END
$$;

COMMENT ON FUNCTION decide_currency(text, currency_code, text) IS 'Says what a code in organisations'' settings means, for all that name it now or later; returns how many were waiting for it.';

REVOKE EXECUTE ON FUNCTION
    currency_of_settings(jsonb),
    keep_organization_currency(),
    decide_currency(text, currency_code, text)
    FROM PUBLIC, anon, authenticated;

-- step: functions that fill currencies
-- SECURITY DEFINER: the currency is the organisation's, whatever the writer may see, and whatever role an installation lets
-- the application write with. It fills and never refuses: row security is asked after this, and must be the first to
-- refuse a row of another tenant.
CREATE FUNCTION fill_currency_of_organization()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
BEGIN
    IF NEW.currency IS NULL THEN
        NEW.currency := (SELECT k.currency FROM organization_currency AS k WHERE k.org_id = NEW.org_id);
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION fill_currency_of_organization() IS 'Trigger, BEFORE INSERT FOR EACH ROW: a row without a currency gets its organisation''s.';

-- As the writer, after the currency was filled: says what is missing before NOT NULL says it less clearly. A row of another
-- tenant is left to row security. Without row security a missing parent is what the foreign key would have reported.
CREATE FUNCTION refuse_missing_currency()
    RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
BEGIN
    IF NEW.currency IS NOT NULL THEN
        RETURN NEW;
    END IF;
    IF has_table_privilege('organization_currency', 'SELECT')
        AND has_function_privilege('organization_currency(uuid)', 'EXECUTE')
    THEN
        PERFORM organization_currency((to_jsonb(NEW) ->> 'org_id')::uuid);
    END IF;
    IF NOT row_security_active(TG_RELID) THEN
        RAISE EXCEPTION 'insert on table "%" has no currency: what it belongs to is not there', TG_TABLE_NAME
            USING ERRCODE = 'foreign_key_violation', TABLE = TG_TABLE_NAME, COLUMN = 'currency';
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION refuse_missing_currency() IS 'Trigger, BEFORE INSERT FOR EACH ROW, after the currency was filled: names what is missing.';

REVOKE EXECUTE ON FUNCTION fill_currency_of_organization(), refuse_missing_currency() FROM PUBLIC, anon, authenticated;

-- step: chart of accounts
CREATE TABLE account (
    id                 uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id             uuid         NOT NULL,
    code               text         NOT NULL,
    name               text         NOT NULL,
    account_type       text         NOT NULL,
    parent_account_id  uuid,
    description        text,
    is_active          boolean      DEFAULT true,
    normal_balance     text         NOT NULL,
    created_at         timestamptz  DEFAULT now(),
    updated_at         timestamptz  DEFAULT now(),

    CONSTRAINT account_code_is_unique_in_organization
        UNIQUE (org_id, code),
    CONSTRAINT account_parent_account_id_fkey
        FOREIGN KEY (parent_account_id) REFERENCES account (id),
    CONSTRAINT account_code_length
        CHECK (char_length(code) BETWEEN 1 AND 20),
    CONSTRAINT account_name_length
        CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT account_type_is_known
        CHECK (account_type IN (
            'asset', 'liability', 'equity', 'revenue', 'expense',
            'contra_asset', 'contra_liability', 'contra_equity', 'contra_revenue', 'contra_expense'
        )),
    CONSTRAINT account_normal_balance_follows_type
        CHECK (
            normal_balance = CASE
                WHEN account_type IN ('asset', 'expense', 'contra_liability', 'contra_equity', 'contra_revenue') THEN 'debit'
                ELSE 'credit'
            END
        ),
    CONSTRAINT account_is_not_its_own_parent
        CHECK (parent_account_id <> id)
);

COMMENT ON TABLE  account IS 'Chart of accounts of an organisation; parents give it its tree.';
COMMENT ON COLUMN account.name IS 'not personal: what the account is called.';
COMMENT ON COLUMN account.description IS 'not personal: what is booked there.';
COMMENT ON COLUMN account.account_type IS 'asset, liability, equity, revenue, expense, or contra_ of one of them, whose normal balance is on the other side.';
COMMENT ON COLUMN account.normal_balance IS 'debit or credit, as the type says; filled in when it is not given.';

CREATE INDEX idx_account_parent ON account (parent_account_id);

CREATE FUNCTION keep_account_in_tree()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
BEGIN
    -- Two accounts made each other's parent at the same time would each see no circle: one at a time in an organisation.
    PERFORM pg_advisory_xact_lock(hashtextextended('account tree ' || NEW.org_id, 3));

    IF EXISTS (
        WITH RECURSIVE ancestor AS (
            SELECT a.id, a.parent_account_id FROM account AS a WHERE a.id = NEW.parent_account_id
            UNION
            SELECT a.id, a.parent_account_id FROM account AS a JOIN ancestor ON a.id = ancestor.parent_account_id
        )
        SELECT FROM ancestor WHERE id = NEW.id
    ) THEN
        RAISE EXCEPTION 'account % cannot be below %: it stands above it', NEW.code, NEW.parent_account_id
            USING ERRCODE = 'check_violation',
                  TABLE = 'account',
                  CONSTRAINT = 'account_parents_make_a_tree';
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION keep_account_in_tree() IS 'Trigger on account: no account is its own ancestor.';

CREATE FUNCTION fill_normal_balance()
    RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    NEW.normal_balance := coalesce(
        NEW.normal_balance,
        CASE WHEN NEW.account_type IN ('asset', 'expense', 'contra_liability', 'contra_equity', 'contra_revenue') THEN 'debit' ELSE 'credit' END
    );
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION fill_normal_balance() IS 'Trigger on account: the side on which its type increases.';

-- An account has the same id each time it is made: after a rollback and a new try, rows that were salvaged find theirs.
CREATE FUNCTION default_accounts(target_org uuid)
    RETURNS TABLE (
        id                 uuid,
        org_id             uuid,
        code               text,
        name               text,
        account_type       text,
        normal_balance     text,
        parent_account_id  uuid
    )
    LANGUAGE sql
    SET search_path = public, pg_temp
AS $$
    WITH chart AS MATERIALIZED (
        SELECT coalesce(free.id, gen_random_uuid()) AS id, listed.*
        FROM (VALUES
            ('1000', 'Assets',                          'asset',          'debit',  NULL),
            ('1010', 'Cash',                            'asset',          'debit',  '1000'),
            ('1020', 'Bank accounts',                   'asset',          'debit',  '1000'),
            ('1100', 'Accounts receivable',             'asset',          'debit',  '1000'),
            ('1200', 'Inventory',                       'asset',          'debit',  '1000'),
            ('1300', 'Prepaid expenses',                'asset',          'debit',  '1000'),
            ('1400', 'Recoverable input tax',           'asset',          'debit',  '1000'),
            ('1500', 'Fixed assets',                    'asset',          'debit',  '1000'),
            ('1590', 'Accumulated depreciation',        'contra_asset',   'credit', '1500'),
            ('2000', 'Liabilities',                     'liability',      'credit', NULL),
            ('2100', 'Accounts payable',                'liability',      'credit', '2000'),
            ('2200', 'Taxes payable',                   'liability',      'credit', '2000'),
            ('2300', 'Accrued expenses',                'liability',      'credit', '2000'),
            ('2400', 'Customer deposits',               'liability',      'credit', '2000'),
            ('2500', 'Loans',                           'liability',      'credit', '2000'),
            ('3000', 'Equity',                          'equity',         'credit', NULL),
            ('3100', 'Capital',                         'equity',         'credit', '3000'),
            ('3200', 'Retained earnings',               'equity',         'credit', '3000'),
            ('4000', 'Revenue',                         'revenue',        'credit', NULL),
            ('4100', 'Sales of goods',                  'revenue',        'credit', '4000'),
            ('4200', 'Sales of services',               'revenue',        'credit', '4000'),
            ('4300', 'Shipping charged',                'revenue',        'credit', '4000'),
            ('4800', 'Exchange gains',                  'revenue',        'credit', '4000'),
            ('4900', 'Discounts and returns',           'contra_revenue', 'debit',  '4000'),
            ('5000', 'Cost of sales',                   'expense',        'debit',  NULL),
            ('5100', 'Cost of goods sold',              'expense',        'debit',  '5000'),
            ('5200', 'Freight inwards',                 'expense',        'debit',  '5000'),
            ('6000', 'Operating expenses',              'expense',        'debit',  NULL),
            ('6100', 'Wages and salaries',              'expense',        'debit',  '6000'),
            ('6200', 'Rent and utilities',              'expense',        'debit',  '6000'),
            ('6300', 'Depreciation',                    'expense',        'debit',  '6000'),
            ('6400', 'Bank charges',                    'expense',        'debit',  '6000'),
            ('6800', 'Exchange losses',                 'expense',        'debit',  '6000'),
            ('6900', 'Other expenses',                  'expense',        'debit',  '6000')
        ) AS listed (code, name, account_type, normal_balance, parent_code)
        LEFT JOIN LATERAL (
            SELECT md5(format('default account %s of %s', listed.code, target_org))::uuid AS id
        ) AS free ON NOT EXISTS (SELECT FROM account AS taken WHERE taken.id = free.id)
    )
    SELECT chart.id, target_org, chart.code, chart.name, chart.account_type, chart.normal_balance, coalesce(present.id, parent.id)
    FROM chart
    LEFT JOIN chart AS parent ON parent.code = chart.parent_code
    LEFT JOIN account AS present ON present.org_id = target_org AND present.code = chart.parent_code
    WHERE NOT EXISTS (SELECT FROM account AS own WHERE own.org_id = target_org AND own.code = chart.code)
$$;

COMMENT ON FUNCTION default_accounts(uuid) IS 'Rows of the default chart of accounts that an organisation does not have yet; an id follows from organisation and code, unless it is taken.';

CREATE FUNCTION create_default_accounts(target_org uuid)
    RETURNS integer
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
DECLARE
    created  integer;
BEGIN
    INSERT INTO account (id, org_id, code, name, account_type, normal_balance, parent_account_id)
    SELECT d.id, d.org_id, d.code, d.name, d.account_type, d.normal_balance, d.parent_account_id
    FROM default_accounts(target_org) AS d
    ON CONFLICT (org_id, code) DO NOTHING;

    GET DIAGNOSTICS created = ROW_COUNT;
    RETURN created;
END
$$;

COMMENT ON FUNCTION create_default_accounts(uuid) IS 'Gives an organisation what is missing of the default chart of accounts; returns how many accounts.';

-- SECURITY DEFINER: whoever creates an organisation is not a member of it yet.
CREATE FUNCTION give_default_accounts()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM create_default_accounts(NEW.id);
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION give_default_accounts() IS 'Trigger on organization: a new one has the default chart of accounts.';

REVOKE EXECUTE ON FUNCTION
    keep_account_in_tree(),
    fill_normal_balance(),
    default_accounts(uuid),
    create_default_accounts(uuid),
    give_default_accounts()
    FROM PUBLIC, anon, authenticated;

ALTER TABLE account ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON account
    FOR ALL TO authenticated
    USING (org_id = (SELECT tenant_org_id()))
    WITH CHECK (org_id = (SELECT tenant_org_id()));

REVOKE ALL ON account FROM PUBLIC, anon, authenticated;

CREATE TRIGGER fill_normal_balance
    BEFORE INSERT ON account
    FOR EACH ROW EXECUTE FUNCTION fill_normal_balance();
CREATE TRIGGER keep_account_in_tree
    AFTER INSERT OR UPDATE OF parent_account_id ON account
    FOR EACH ROW WHEN (NEW.parent_account_id IS NOT NULL) EXECUTE FUNCTION keep_account_in_tree();
CREATE TRIGGER stay_in_organization
    BEFORE UPDATE OF org_id ON account
    FOR EACH ROW WHEN (NEW.org_id IS DISTINCT FROM OLD.org_id)
    EXECUTE FUNCTION stay_in_organization();
CREATE CONSTRAINT TRIGGER same_organization
    AFTER INSERT OR UPDATE OF parent_account_id ON account
    FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization('org_id', 'parent_account_id account');
CREATE TRIGGER touch_updated_at
    BEFORE UPDATE ON account
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER record_audit
    AFTER INSERT OR UPDATE OR DELETE ON account
    FOR EACH ROW EXECUTE FUNCTION record_audit();

-- step: tax rates
CREATE TABLE tax_rate (
    id              uuid          PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id          uuid          NOT NULL,
    name            text          NOT NULL,
    tax_type        tax_type      NOT NULL,
    rate            numeric(5,4)  NOT NULL,
    is_compound     boolean       DEFAULT false,
    is_active       boolean       DEFAULT true,
    effective_from  date          NOT NULL,
    effective_to    date,
    jurisdiction    text,
    created_at      timestamptz   DEFAULT now(),
    updated_at      timestamptz   DEFAULT now(),

    CONSTRAINT tax_rate_name_length
        CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT tax_rate_jurisdiction_length
        CHECK (char_length(jurisdiction) BETWEEN 1 AND 200),
    CONSTRAINT tax_rate_is_a_fraction
        CHECK (rate BETWEEN 0 AND 1),
    CONSTRAINT tax_rate_effective_dates_in_order
        CHECK (effective_to >= effective_from),
    -- Names tell rates of one type apart (standard, reduced). A rate that was switched off no longer counts.
    CONSTRAINT tax_rate_periods_do_not_overlap
        EXCLUDE USING gist (
            org_id WITH =,
            lower(btrim(name)) WITH =,
            tax_type WITH =,
            coalesce(lower(btrim(jurisdiction)), '') WITH =,
            daterange(effective_from, effective_to, '[]') WITH &&
        ) WHERE (is_active IS NOT FALSE)
);

COMMENT ON TABLE  tax_rate IS 'Tax rates by name, type and jurisdiction, each for its days; periods of one rate cannot overlap.';
COMMENT ON COLUMN tax_rate.name IS 'not personal: what the rate is called.';
COMMENT ON COLUMN tax_rate.rate IS 'A fraction: 0.2000 is 20 %.';
COMMENT ON COLUMN tax_rate.effective_to IS 'The last day it holds; NULL while no end is known.';

CREATE INDEX idx_tax_rate_org ON tax_rate (org_id, effective_from);

ALTER TABLE tax_rate ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON tax_rate
    FOR ALL TO authenticated
    USING (org_id = (SELECT tenant_org_id()))
    WITH CHECK (org_id = (SELECT tenant_org_id()));

REVOKE ALL ON tax_rate FROM PUBLIC, anon, authenticated;

CREATE TRIGGER stay_in_organization
    BEFORE UPDATE OF org_id ON tax_rate
    FOR EACH ROW WHEN (NEW.org_id IS DISTINCT FROM OLD.org_id)
    EXECUTE FUNCTION stay_in_organization();
CREATE TRIGGER touch_updated_at
    BEFORE UPDATE ON tax_rate
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER record_audit
    AFTER INSERT OR UPDATE OR DELETE ON tax_rate
    FOR EACH ROW EXECUTE FUNCTION record_audit();

-- step: exchange rates
CREATE TABLE exchange_rate (
    id              uuid            PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id          uuid,
    base_currency   currency_code   NOT NULL,
    quote_currency  currency_code   NOT NULL,
    rate            numeric(20,10)  NOT NULL,
    valid_from      date            NOT NULL,
    source          text,
    created_at      timestamptz     DEFAULT now(),
    updated_at      timestamptz     DEFAULT now(),

    CONSTRAINT exchange_rate_is_unique_per_organization_and_day
        UNIQUE (org_id, base_currency, quote_currency, valid_from),
    CONSTRAINT exchange_rate_is_positive
        CHECK (rate > 0 AND rate < 'Infinity'),
    CONSTRAINT exchange_rate_is_between_two_currencies
        CHECK (base_currency <> quote_currency),
    CONSTRAINT exchange_rate_source_length
        CHECK (char_length(source) BETWEEN 1 AND 200)
);

COMMENT ON TABLE  exchange_rate IS 'Rates by day: one unit of base_currency is worth rate units of quote_currency, from valid_from until the next.';
COMMENT ON COLUMN exchange_rate.org_id IS 'Whose rate it is; NULL for the house rate, which everybody reads and service_role keeps.';
COMMENT ON COLUMN exchange_rate.rate IS 'money: units of quote_currency for one unit of base_currency.';

-- NULLs are distinct in a unique constraint, NULLS NOT DISTINCT is not known before PostgreSQL 15.
CREATE UNIQUE INDEX exchange_rate_of_the_house_is_unique_per_day
    ON exchange_rate (base_currency, quote_currency, valid_from) WHERE org_id IS NULL;

ALTER TABLE exchange_rate ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON exchange_rate
    FOR ALL TO authenticated
    USING (org_id = (SELECT tenant_org_id()))
    WITH CHECK (org_id = (SELECT tenant_org_id()));
CREATE POLICY exchange_rate_of_the_house_is_read_by_all ON exchange_rate
    FOR SELECT TO authenticated
    USING (org_id IS NULL AND (SELECT tenant_org_id()) IS NOT NULL);

REVOKE ALL ON exchange_rate FROM PUBLIC, anon, authenticated;

CREATE TRIGGER stay_in_organization
    BEFORE UPDATE OF org_id ON exchange_rate
    FOR EACH ROW WHEN (NEW.org_id IS DISTINCT FROM OLD.org_id)
    EXECUTE FUNCTION stay_in_organization();
CREATE TRIGGER touch_updated_at
    BEFORE UPDATE ON exchange_rate
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER record_audit
    AFTER INSERT OR UPDATE OR DELETE ON exchange_rate
    FOR EACH ROW EXECUTE FUNCTION record_audit();

-- An inverse is a division, whose quotient PostgreSQL cuts after some digits; rounding that again can be wrong by a minor
-- unit. So the quotient is rounded exactly: trunc(q + 1/2) with div(), which is exact, on magnitudes.
CREATE FUNCTION convert_amount(
    amount         numeric,
    from_currency  currency_code,
    to_currency    currency_code,
    on_date        date,
    for_org        uuid DEFAULT NULL
)
    RETURNS numeric
    LANGUAGE plpgsql
    STABLE
    SET search_path = public, pg_temp
AS $$
DECLARE
    unit  numeric;
    used  record;
BEGIN
    IF amount IS NULL THEN
        RETURN NULL;
    END IF;
    IF from_currency IS NULL OR to_currency IS NULL OR on_date IS NULL THEN
        RAISE EXCEPTION 'convert_amount needs both currencies and a date'
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF amount = 'NaN' OR abs(amount) = 'Infinity' THEN
        RAISE EXCEPTION 'convert_amount needs an amount, found %', amount
            USING ERRCODE = 'numeric_value_out_of_range';
    END IF;
    IF from_currency = to_currency THEN
        RETURN round_money(amount, to_currency);
    END IF;

    SELECT r.rate, r.base_currency = to_currency AS is_inverse
    INTO used
    FROM exchange_rate AS r
    WHERE (r.org_id = for_org OR r.org_id IS NULL)
      AND r.valid_from <= on_date
      AND (r.base_currency, r.quote_currency) IN ((from_currency, to_currency), (to_currency, from_currency))
    ORDER BY r.org_id IS NULL, r.valid_from DESC, is_inverse
    LIMIT 1;

    IF NOT FOUND THEN
        RAISE EXCEPTION 'no exchange rate from % to % is known on %', from_currency, to_currency, on_date
            USING ERRCODE = 'no_data_found',
                  HINT = 'Enter a rate of that day or an earlier one, in either direction; rates are not derived by way of a third currency.';
    END IF;

    IF NOT used.is_inverse THEN
        RETURN round_money(amount * used.rate, to_currency);
    END IF;
    unit := 10::numeric ^ currency_minor_units(to_currency);
    RETURN round_money(sign(amount) * div(2 * abs(amount) * unit + used.rate, 2 * used.rate) / unit, to_currency);
END
$$;

COMMENT ON FUNCTION convert_amount(numeric, currency_code, currency_code, date, uuid) IS
    'money: an amount in another currency by the rate in force on that day (the organisation''s own before the house''s, then the latest, then the direct one before the inverse), rounded once, half away from zero, to the minor unit; an error when no rate is known.';

REVOKE EXECUTE ON FUNCTION convert_amount(numeric, currency_code, currency_code, date, uuid) FROM PUBLIC, anon, authenticated;

-- step: invoices
CREATE TABLE invoice (
    id                uuid            PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id            uuid            NOT NULL,
    customer_id       uuid            NOT NULL,
    sales_order_id    uuid,
    invoice_number    text            NOT NULL,
    status            invoice_status  DEFAULT 'draft',
    currency          currency_code,
    subtotal          numeric(12,2)   DEFAULT 0,
    tax_amount        numeric(12,2)   DEFAULT 0,
    discount_amount   numeric(12,2)   DEFAULT 0,
    total_amount      numeric(12,2)   DEFAULT 0,
    amount_paid       numeric(12,2)   DEFAULT 0,
    amount_due        numeric(12,2)   DEFAULT 0,
    invoice_date      date            DEFAULT CURRENT_DATE,
    due_date          date            NOT NULL,
    payment_terms     text,
    billing_address   jsonb,
    notes             text,
    sent_at           timestamptz,
    viewed_at         timestamptz,
    first_payment_at  timestamptz,
    created_by        uuid            NOT NULL DEFAULT tenant_user_id(),
    created_at        timestamptz     DEFAULT now(),
    updated_at        timestamptz     DEFAULT now(),

    CONSTRAINT invoice_number_is_unique_in_organization
        UNIQUE (org_id, invoice_number),
    CONSTRAINT invoice_number_length
        CHECK (char_length(invoice_number) BETWEEN 1 AND 200),
    CONSTRAINT invoice_has_status_and_currency
        CHECK (num_nulls(status, currency) = 0),
    CONSTRAINT invoice_amounts_are_known
        CHECK (num_nulls(subtotal, tax_amount, discount_amount, total_amount, amount_paid, amount_due) = 0),
    CONSTRAINT invoice_amounts_not_negative
        CHECK (
            subtotal BETWEEN 0 AND 9999999999.99
            AND tax_amount BETWEEN 0 AND 9999999999.99
            AND discount_amount BETWEEN 0 AND 9999999999.99
            AND amount_paid BETWEEN 0 AND 9999999999.99
        ),
    CONSTRAINT invoice_total_is_sum_of_lines
        CHECK ((total_amount = subtotal + tax_amount - discount_amount) IS TRUE),
    -- A draft is still being written, and a header with its discount comes before its lines.
    CONSTRAINT invoice_total_not_negative
        CHECK (total_amount >= 0 OR subtotal = 0 OR status = 'draft'),
    CONSTRAINT invoice_due_is_total_less_paid
        CHECK ((amount_due = total_amount - amount_paid) IS TRUE),
    CONSTRAINT invoice_is_not_overpaid
        CHECK (amount_paid <= greatest(total_amount, 0)),
    CONSTRAINT invoice_paid_means_nothing_due
        CHECK (status <> 'paid' OR amount_due = 0),
    CONSTRAINT invoice_cancelled_means_nothing_paid
        CHECK (status <> 'cancelled' OR amount_paid = 0),
    CONSTRAINT invoice_due_after_invoice_date
        CHECK (due_date >= invoice_date)
);

COMMENT ON TABLE  invoice IS 'What a customer is asked to pay; amounts are kept by trigger from its lines and the payments allocated to it.';
COMMENT ON COLUMN invoice.subtotal IS 'money: in currency: sum of the lines'' line_total, before tax; kept by trigger.';
COMMENT ON COLUMN invoice.tax_amount IS 'money: in currency: sum of the lines'' taxes, each rounded; kept by trigger.';
COMMENT ON COLUMN invoice.discount_amount IS 'money: in currency: taken off the whole invoice, beside the lines'' own discounts.';
COMMENT ON COLUMN invoice.total_amount IS 'money: in currency: subtotal + tax_amount - discount_amount; kept by trigger.';
COMMENT ON COLUMN invoice.amount_paid IS 'money: in currency: allocated to it from completed payments; kept by trigger.';
COMMENT ON COLUMN invoice.amount_due IS 'money: in currency: total_amount - amount_paid; kept by trigger.';
COMMENT ON COLUMN invoice.currency IS 'money: the currency of all amounts; the order''s, else the organisation''s, where the client names none.';
COMMENT ON COLUMN invoice.status IS 'paid and partially_paid are kept by trigger, the others set by the application.';
COMMENT ON COLUMN invoice.billing_address IS 'personal data: location: where the customer is billed.';
COMMENT ON COLUMN invoice.notes IS 'personal data: free text: may name people.';
COMMENT ON COLUMN invoice.viewed_at IS 'personal data: behaviour: when the customer first looked at it.';

CREATE INDEX idx_invoice_customer ON invoice (customer_id);
CREATE INDEX idx_invoice_sales_order ON invoice (sales_order_id);
CREATE INDEX idx_invoice_created_by ON invoice (created_by);
CREATE INDEX idx_invoice_open ON invoice (org_id, due_date) WHERE amount_due > 0;

CREATE TABLE invoice_item (
    id                   uuid           PRIMARY KEY DEFAULT gen_random_uuid(),
    invoice_id           uuid           NOT NULL,
    product_id           uuid,
    description          text           NOT NULL,
    quantity             numeric(10,3)  NOT NULL DEFAULT 1,
    unit_price           numeric(10,2)  NOT NULL,
    discount_percentage  numeric(5,2)   DEFAULT 0,
    line_total           numeric(12,2)  DEFAULT 0,
    tax_rate             numeric(5,2)   DEFAULT 0,
    created_at           timestamptz    DEFAULT now(),

    CONSTRAINT invoice_item_invoice_id_fkey
        FOREIGN KEY (invoice_id) REFERENCES invoice (id) ON DELETE CASCADE,
    CONSTRAINT invoice_item_description_length
        CHECK (char_length(description) BETWEEN 1 AND 1000),
    CONSTRAINT invoice_item_quantity_positive
        CHECK (quantity > 0 AND quantity < 'Infinity'),
    CONSTRAINT invoice_item_unit_price_not_negative
        CHECK (unit_price BETWEEN 0 AND 99999999.99),
    CONSTRAINT invoice_item_discount_is_a_percentage
        CHECK (discount_percentage BETWEEN 0 AND 100),
    CONSTRAINT invoice_item_tax_rate_is_a_percentage
        CHECK (tax_rate BETWEEN 0 AND 100),
    CONSTRAINT invoice_item_line_total_is_known
        CHECK (line_total IS NOT NULL AND line_total BETWEEN 0 AND 9999999999.99)
);

COMMENT ON TABLE  invoice_item IS 'A line of an invoice.';
COMMENT ON COLUMN invoice_item.description IS 'personal data: free text: what is charged for, which may name people.';
COMMENT ON COLUMN invoice_item.unit_price IS 'money: in the invoice''s currency, before discount and tax.';
COMMENT ON COLUMN invoice_item.line_total IS 'money: in the invoice''s currency: quantity * unit_price less discount_percentage, rounded to the minor unit, before tax; kept by trigger.';
COMMENT ON COLUMN invoice_item.tax_rate IS 'Percent: 20.00 is 20 %, as opposed to tax_rate.rate.';

CREATE INDEX idx_invoice_item_invoice ON invoice_item (invoice_id);
CREATE INDEX idx_invoice_item_product ON invoice_item (product_id);

-- step: payments
CREATE TABLE payment (
    id                      uuid            PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id                  uuid            NOT NULL,
    customer_id             uuid            NOT NULL,
    invoice_id              uuid,
    payment_number          text            NOT NULL,
    amount                  numeric(12,2)   NOT NULL,
    currency                currency_code,
    payment_method          payment_method  NOT NULL,
    status                  payment_status  DEFAULT 'pending',
    payment_date            date            DEFAULT CURRENT_DATE,
    reference_number        text,
    gateway_transaction_id  text,
    gateway_response        jsonb,
    notes                   text,
    processed_by            uuid,
    created_at              timestamptz     DEFAULT now(),
    updated_at              timestamptz     DEFAULT now(),
    amount_allocated        numeric(12,2)   DEFAULT 0,

    CONSTRAINT payment_number_is_unique_in_organization
        UNIQUE (org_id, payment_number),
    CONSTRAINT payment_invoice_id_fkey
        FOREIGN KEY (invoice_id) REFERENCES invoice (id),
    CONSTRAINT payment_number_length
        CHECK (char_length(payment_number) BETWEEN 1 AND 200),
    CONSTRAINT payment_has_status_and_currency
        CHECK (num_nulls(status, currency) = 0),
    CONSTRAINT payment_amount_positive
        CHECK (amount > 0 AND amount <= 9999999999.99),
    CONSTRAINT payment_is_not_over_allocated
        CHECK (amount_allocated IS NOT NULL AND amount_allocated BETWEEN 0 AND amount)
);

COMMENT ON TABLE  payment IS 'Money received from a customer; payment_allocation says for which invoices.';
COMMENT ON COLUMN payment.amount IS 'money: in currency.';
COMMENT ON COLUMN payment.currency IS 'money: the currency of amount; the invoice''s, else the organisation''s, where the client names none.';
COMMENT ON COLUMN payment.amount_allocated IS 'money: in currency: sum of its allocations; kept by trigger, beside the columns the application knows.';
COMMENT ON COLUMN payment.invoice_id IS 'The invoice it was made for: once completed, it is allocated to it by itself, as far as something is due.';
COMMENT ON COLUMN payment.reference_number IS 'personal data: identity: what the payer wrote, an account''s number it may be.';
COMMENT ON COLUMN payment.gateway_response IS 'personal data: identity: what the payment provider answered; redacted in audit_log.';
COMMENT ON COLUMN payment.notes IS 'personal data: free text: may name people.';

CREATE INDEX idx_payment_customer ON payment (customer_id);
CREATE INDEX idx_payment_invoice ON payment (invoice_id);
CREATE INDEX idx_payment_processed_by ON payment (processed_by);
CREATE INDEX idx_payment_unallocated ON payment (org_id, payment_date) WHERE amount_allocated < amount;

CREATE TABLE payment_allocation (
    id          uuid           PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id      uuid           NOT NULL,
    payment_id  uuid           NOT NULL,
    invoice_id  uuid           NOT NULL,
    amount      numeric(12,2)  NOT NULL,
    created_at  timestamptz    DEFAULT now(),
    updated_at  timestamptz    DEFAULT now(),

    CONSTRAINT payment_allocation_is_one_per_payment_and_invoice
        UNIQUE (payment_id, invoice_id),
    CONSTRAINT payment_allocation_payment_id_fkey
        FOREIGN KEY (payment_id) REFERENCES payment (id),
    CONSTRAINT payment_allocation_invoice_id_fkey
        FOREIGN KEY (invoice_id) REFERENCES invoice (id),
    CONSTRAINT payment_allocation_amount_positive
        CHECK (amount > 0 AND amount <= 9999999999.99)
);

COMMENT ON TABLE  payment_allocation IS 'How much of a payment pays how much of an invoice: never more than the payment has, nor than the invoice needs.';
COMMENT ON COLUMN payment_allocation.amount IS 'money: in the currency of both, which is the same.';

CREATE INDEX idx_payment_allocation_org ON payment_allocation (org_id);
CREATE INDEX idx_payment_allocation_invoice ON payment_allocation (invoice_id);

-- step: invoices and payments keep their amounts
-- Sums are taken again, not carried forward, in the BEFORE trigger of the row that shows them. Whoever changes a line or
-- an allocation updates that row, which locks it: the second of two waits there, and its trigger then sees what the
-- first committed (READ COMMITTED), or fails with a serialization error (REPEATABLE READ). Two totals cannot pass each other.
-- All are SECURITY DEFINER: a sum is over all rows, not over those the writer may see. So it is over those of OLD.id, which
-- is NULL on INSERT: a new row has no lines yet, and the key that a client chose for it may be another tenant's, whose sums
-- EXCLUDED would show him. Times 0.01, never divided by 100: a
-- quotient is cut before it is rounded.
CREATE FUNCTION keep_invoice_amounts()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
DECLARE
    lines  record;
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.currency := coalesce(
            NEW.currency,
            (SELECT o.currency FROM sales_order AS o WHERE o.id = NEW.sales_order_id AND o.org_id = NEW.org_id),
            (SELECT k.currency FROM organization_currency AS k WHERE k.org_id = NEW.org_id AND k.source <> 'kept')
        );
    ELSIF NEW.currency IS DISTINCT FROM OLD.currency AND EXISTS (SELECT FROM invoice_item WHERE invoice_id = OLD.id) THEN
        RAISE EXCEPTION 'invoice % has lines in %: amounts do not change their currency by a change of name', OLD.invoice_number, OLD.currency
            USING ERRCODE = 'check_violation',
                  TABLE = 'invoice',
                  COLUMN = 'currency',
                  HINT = 'Make a new invoice, with amounts from convert_amount().';
    END IF;

    SELECT coalesce(sum(i.line_total), 0) AS net,
           coalesce(sum(round_money(i.line_total * coalesce(i.tax_rate, 0) * 0.01, NEW.currency)), 0) AS tax,
           coalesce(bool_and(i.line_total = round_money(i.line_total, NEW.currency)), true) AS are_rounded
    INTO lines
    FROM invoice_item AS i
    WHERE i.invoice_id = OLD.id;
    IF NOT lines.are_rounded THEN   -- a first line was on its way while another session changed the currency
        RAISE EXCEPTION 'invoice % changed its currency to % while a line was written', NEW.invoice_number, NEW.currency
            USING ERRCODE = 'serialization_failure',
                  TABLE = 'invoice',
                  HINT = 'Try the transaction again.';
    END IF;

    NEW.subtotal := lines.net;
    NEW.tax_amount := lines.tax;
    NEW.discount_amount := coalesce(round_money(NEW.discount_amount, NEW.currency), 0);
    NEW.total_amount := NEW.subtotal + NEW.tax_amount - NEW.discount_amount;
    NEW.amount_paid := (
        SELECT coalesce(sum(a.amount), 0)
        FROM payment_allocation AS a
        JOIN payment AS p ON p.id = a.payment_id
        WHERE a.invoice_id = OLD.id
          AND p.status = 'completed'
    );
    NEW.amount_due := NEW.total_amount - NEW.amount_paid;

    NEW.status := CASE
        WHEN NEW.status IN ('cancelled', 'refunded') THEN NEW.status
        WHEN NEW.amount_paid > 0 AND NEW.amount_due = 0 THEN 'paid'
        WHEN NEW.amount_paid > 0 AND NEW.status = 'overdue' THEN 'overdue'
        WHEN NEW.amount_paid > 0 THEN 'partially_paid'
        WHEN NEW.status IN ('paid', 'partially_paid') AND NEW.viewed_at IS NOT NULL THEN 'viewed'
        WHEN NEW.status IN ('paid', 'partially_paid') AND NEW.sent_at IS NOT NULL THEN 'sent'
        WHEN NEW.status IN ('paid', 'partially_paid') THEN 'draft'
        ELSE coalesce(NEW.status, 'draft')
    END;
    NEW.sent_at := CASE WHEN NEW.status = 'sent' THEN coalesce(NEW.sent_at, now()) ELSE NEW.sent_at END;
    NEW.viewed_at := CASE WHEN NEW.status = 'viewed' THEN coalesce(NEW.viewed_at, now()) ELSE NEW.viewed_at END;
    NEW.first_payment_at := CASE WHEN NEW.amount_paid > 0 THEN coalesce(NEW.first_payment_at, now()) ELSE NEW.first_payment_at END;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION keep_invoice_amounts() IS 'Trigger on invoice: currency, sums and status follow from its lines and allocations, whatever the client says.';

CREATE FUNCTION keep_invoice_line_total()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
BEGIN
    NEW.discount_percentage := coalesce(NEW.discount_percentage, 0);
    NEW.tax_rate := coalesce(NEW.tax_rate, 0);
    NEW.line_total := round_money(
        NEW.quantity * NEW.unit_price * (100 - NEW.discount_percentage) * 0.01,
        coalesce((SELECT currency FROM invoice WHERE id = NEW.invoice_id), 'USD')   -- no such invoice: its foreign key refuses
    );
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION keep_invoice_line_total() IS 'Trigger on invoice_item: line_total follows from quantity, price and discount.';

CREATE FUNCTION keep_payment_amounts()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.currency := coalesce(
            NEW.currency,
            (SELECT i.currency FROM invoice AS i WHERE i.id = NEW.invoice_id AND i.org_id = NEW.org_id),
            (SELECT k.currency FROM organization_currency AS k WHERE k.org_id = NEW.org_id AND k.source <> 'kept')
        );
        NEW.status := coalesce(NEW.status, 'pending');
    ELSIF NEW.currency IS DISTINCT FROM OLD.currency AND EXISTS (SELECT FROM payment_allocation WHERE payment_id = OLD.id) THEN
        RAISE EXCEPTION 'payment % is allocated in %: amounts do not change their currency by a change of name', OLD.payment_number, OLD.currency
            USING ERRCODE = 'check_violation',
                  TABLE = 'payment',
                  COLUMN = 'currency';
    END IF;

    NEW.amount_allocated := (SELECT coalesce(sum(a.amount), 0) FROM payment_allocation AS a WHERE a.payment_id = OLD.id);
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION keep_payment_amounts() IS 'Trigger on payment: its currency, and how much of it is allocated.';

-- After the row, and so after row security: before it, the answer would tell the currency of another tenant.
CREATE FUNCTION refuse_finer_payment()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
BEGIN
    IF NEW.amount <> round_money(NEW.amount, NEW.currency) THEN
        RAISE EXCEPTION 'payment of % %: finer than the currency''s minor unit', NEW.amount, NEW.currency
            USING ERRCODE = 'check_violation',
                  TABLE = 'payment',
                  COLUMN = 'amount';
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION refuse_finer_payment() IS 'Trigger on payment: nobody pays half a cent, or half a yen.';

CREATE FUNCTION settle_payment()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
DECLARE
    allocated  uuid;
    due        numeric;
BEGIN
    -- What was allocated counts from now on, or no longer.
    IF TG_OP = 'UPDATE' AND (OLD.status = 'completed') IS DISTINCT FROM (NEW.status = 'completed') THEN
        FOR allocated IN SELECT a.invoice_id FROM payment_allocation AS a WHERE a.payment_id = NEW.id ORDER BY a.invoice_id LOOP
            UPDATE invoice SET status = status WHERE id = allocated;
        END LOOP;
    END IF;

    -- A payment for an invoice pays it, unless somebody has said otherwise already.
    IF NEW.status = 'completed'
        AND NEW.invoice_id IS NOT NULL
        AND NOT EXISTS (SELECT FROM payment_allocation AS a WHERE a.payment_id = NEW.id)
    THEN
        SELECT least(NEW.amount, i.amount_due)
        INTO due
        FROM invoice AS i
        WHERE i.id = NEW.invoice_id
          AND i.org_id = NEW.org_id
          AND i.status NOT IN ('cancelled', 'refunded')   -- money that came all the same stays unallocated
        FOR NO KEY UPDATE;

        IF due > 0 THEN
            INSERT INTO payment_allocation (org_id, payment_id, invoice_id, amount)
            VALUES (NEW.org_id, NEW.id, NEW.invoice_id, due);
        END IF;
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION settle_payment() IS 'Trigger on payment: a completed one pays its invoice, one that failed or was refunded no longer does.';

CREATE FUNCTION keep_allocated_amounts()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
DECLARE
    touched  uuid;
    paying   payment;
    paid     invoice;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        UPDATE payment SET amount_allocated = amount_allocated;
        UPDATE invoice SET status = status;
        RETURN NULL;
    END IF;

    -- Payment before invoice, and each kind in the order of its key: two sessions wait for each other in one direction only.
    FOR touched IN
        SELECT DISTINCT id FROM unnest(ARRAY[
            CASE WHEN TG_OP <> 'INSERT' THEN OLD.payment_id END,
            CASE WHEN TG_OP <> 'DELETE' THEN NEW.payment_id END
        ]) AS id ORDER BY id
    LOOP
        UPDATE payment SET amount_allocated = amount_allocated WHERE id = touched;
    END LOOP;
    FOR touched IN
        SELECT DISTINCT id FROM unnest(ARRAY[
            CASE WHEN TG_OP <> 'INSERT' THEN OLD.invoice_id END,
            CASE WHEN TG_OP <> 'DELETE' THEN NEW.invoice_id END
        ]) AS id ORDER BY id
    LOOP
        UPDATE invoice SET status = status WHERE id = touched;
    END LOOP;

    IF TG_OP = 'DELETE' THEN
        RETURN NULL;
    END IF;

    SELECT * INTO paying FROM payment WHERE id = NEW.payment_id;
    SELECT * INTO paid FROM invoice WHERE id = NEW.invoice_id;
    IF paying.currency <> paid.currency THEN
        RAISE EXCEPTION 'payment % is in %, invoice % in %', paying.payment_number, paying.currency, paid.invoice_number, paid.currency
            USING ERRCODE = 'check_violation',
                  TABLE = 'payment_allocation',
                  HINT = 'Record the payment in the invoice''s currency, with an amount from convert_amount().';
    END IF;
    IF paying.status <> 'completed' THEN
        RAISE EXCEPTION 'payment % is %, only a completed one pays an invoice', paying.payment_number, paying.status
            USING ERRCODE = 'check_violation',
                  TABLE = 'payment_allocation';
    END IF;
    IF paid.status IN ('cancelled', 'refunded') THEN
        RAISE EXCEPTION 'invoice % is % and takes no payment', paid.invoice_number, paid.status
            USING ERRCODE = 'check_violation',
                  TABLE = 'payment_allocation';
    END IF;
    IF NEW.amount <> round_money(NEW.amount, paid.currency) THEN
        RAISE EXCEPTION 'allocation of % %: finer than the currency''s minor unit', NEW.amount, paid.currency
            USING ERRCODE = 'check_violation',
                  TABLE = 'payment_allocation',
                  COLUMN = 'amount';
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION keep_allocated_amounts() IS 'Trigger on payment_allocation: payment and invoice take their sums again, and refuse what is too much.';

REVOKE EXECUTE ON FUNCTION
    keep_invoice_amounts(),
    keep_invoice_line_total(),
    keep_payment_amounts(),
    refuse_finer_payment(),
    settle_payment(),
    keep_allocated_amounts()
    FROM PUBLIC, anon, authenticated;

CREATE TRIGGER assign_document_number
    BEFORE INSERT ON invoice
    FOR EACH ROW EXECUTE FUNCTION assign_document_number('invoice', 'invoice_number');
CREATE TRIGGER keep_invoice_amounts
    BEFORE INSERT OR UPDATE ON invoice
    FOR EACH ROW EXECUTE FUNCTION keep_invoice_amounts();
CREATE TRIGGER refuse_missing_currency
    BEFORE INSERT ON invoice
    FOR EACH ROW EXECUTE FUNCTION refuse_missing_currency();
CREATE TRIGGER stay_in_organization
    BEFORE UPDATE OF org_id ON invoice
    FOR EACH ROW WHEN (NEW.org_id IS DISTINCT FROM OLD.org_id)
    EXECUTE FUNCTION stay_in_organization();
CREATE CONSTRAINT TRIGGER same_organization
    AFTER INSERT OR UPDATE OF customer_id, sales_order_id, created_by ON invoice
    FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(
        'org_id', 'customer_id customer', 'sales_order_id sales_order', 'created_by profile'
    );
CREATE TRIGGER touch_updated_at
    BEFORE UPDATE ON invoice
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
-- Columns are named so that a line's change of the sums is not audited twice; what a payment does to the status is.
CREATE TRIGGER record_audit
    AFTER INSERT OR DELETE
    OR UPDATE OF id, org_id, customer_id, sales_order_id, invoice_number, status, currency, discount_amount, amount_paid,
        invoice_date, due_date, payment_terms, billing_address, notes, sent_at, viewed_at, first_payment_at, created_by
    ON invoice
    FOR EACH ROW EXECUTE FUNCTION record_audit();

CREATE TRIGGER keep_invoice_line_total
    BEFORE INSERT OR UPDATE ON invoice_item
    FOR EACH ROW EXECUTE FUNCTION keep_invoice_line_total();
CREATE TRIGGER carry_totals_of_inserted
    AFTER INSERT ON invoice_item
    REFERENCING NEW TABLE AS items_after
    FOR EACH STATEMENT EXECUTE FUNCTION carry_totals_to_header('invoice', 'invoice_id');
CREATE TRIGGER carry_totals_of_updated
    AFTER UPDATE ON invoice_item
    REFERENCING OLD TABLE AS items_before NEW TABLE AS items_after
    FOR EACH STATEMENT EXECUTE FUNCTION carry_totals_to_header('invoice', 'invoice_id');
CREATE TRIGGER carry_totals_of_deleted
    AFTER DELETE ON invoice_item
    REFERENCING OLD TABLE AS items_before
    FOR EACH STATEMENT EXECUTE FUNCTION carry_totals_to_header('invoice', 'invoice_id');
CREATE TRIGGER carry_totals_of_truncated
    AFTER TRUNCATE ON invoice_item
    FOR EACH STATEMENT EXECUTE FUNCTION carry_totals_to_header('invoice', 'invoice_id');
CREATE CONSTRAINT TRIGGER same_organization
    AFTER INSERT OR UPDATE OF invoice_id, product_id ON invoice_item
    FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization('invoice_id invoice', 'product_id product');
CREATE TRIGGER record_audit
    AFTER INSERT OR UPDATE OR DELETE ON invoice_item
    FOR EACH ROW EXECUTE FUNCTION record_audit('invoice_id invoice');

CREATE TRIGGER assign_document_number
    BEFORE INSERT ON payment
    FOR EACH ROW EXECUTE FUNCTION assign_document_number('payment', 'payment_number');
CREATE TRIGGER keep_payment_amounts
    BEFORE INSERT OR UPDATE ON payment
    FOR EACH ROW EXECUTE FUNCTION keep_payment_amounts();
CREATE TRIGGER refuse_missing_currency
    BEFORE INSERT ON payment
    FOR EACH ROW EXECUTE FUNCTION refuse_missing_currency();
CREATE TRIGGER stay_in_organization
    BEFORE UPDATE OF org_id ON payment
    FOR EACH ROW WHEN (NEW.org_id IS DISTINCT FROM OLD.org_id)
    EXECUTE FUNCTION stay_in_organization();
CREATE CONSTRAINT TRIGGER same_organization
    AFTER INSERT OR UPDATE OF customer_id, invoice_id, processed_by ON payment
    FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(
        'org_id', 'customer_id customer', 'invoice_id invoice', 'processed_by profile'
    );
CREATE TRIGGER refuse_finer_payment
    AFTER INSERT OR UPDATE OF amount, currency ON payment
    FOR EACH ROW EXECUTE FUNCTION refuse_finer_payment();
CREATE TRIGGER settle_payment
    AFTER INSERT OR UPDATE OF status, invoice_id ON payment
    FOR EACH ROW EXECUTE FUNCTION settle_payment();
CREATE TRIGGER touch_updated_at
    BEFORE UPDATE ON payment
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER record_audit
    AFTER INSERT OR DELETE
    OR UPDATE OF id, org_id, customer_id, invoice_id, payment_number, amount, currency, payment_method, status, payment_date,
        reference_number, gateway_transaction_id, gateway_response, notes, processed_by
    ON payment
    FOR EACH ROW EXECUTE FUNCTION record_audit('gateway_response');

-- Triggers fire in the order of their names, and this must come after same_organization: a sum that is refused is
-- refused with the row it stands in, which must not be another tenant's.
CREATE TRIGGER sum_up_allocations
    AFTER INSERT OR UPDATE OR DELETE ON payment_allocation
    FOR EACH ROW EXECUTE FUNCTION keep_allocated_amounts();
CREATE TRIGGER stay_in_organization
    BEFORE UPDATE OF org_id ON payment_allocation
    FOR EACH ROW WHEN (NEW.org_id IS DISTINCT FROM OLD.org_id)
    EXECUTE FUNCTION stay_in_organization();
CREATE CONSTRAINT TRIGGER same_organization
    AFTER INSERT OR UPDATE OF payment_id, invoice_id ON payment_allocation
    FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization('org_id', 'payment_id payment', 'invoice_id invoice');
CREATE TRIGGER sum_up_allocations_when_emptied
    AFTER TRUNCATE ON payment_allocation
    FOR EACH STATEMENT EXECUTE FUNCTION keep_allocated_amounts();
CREATE TRIGGER touch_updated_at
    BEFORE UPDATE ON payment_allocation
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER record_audit
    AFTER INSERT OR UPDATE OR DELETE ON payment_allocation
    FOR EACH ROW EXECUTE FUNCTION record_audit();

ALTER TABLE invoice ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON invoice
    FOR ALL TO authenticated
    USING (org_id = (SELECT tenant_org_id()))
    WITH CHECK (org_id = (SELECT tenant_org_id()));

ALTER TABLE invoice_item ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON invoice_item
    FOR ALL TO authenticated
    USING (EXISTS (SELECT FROM invoice AS i WHERE i.id = invoice_id AND i.org_id = (SELECT tenant_org_id())))
    WITH CHECK (EXISTS (SELECT FROM invoice AS i WHERE i.id = invoice_id AND i.org_id = (SELECT tenant_org_id())));

ALTER TABLE payment ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON payment
    FOR ALL TO authenticated
    USING (org_id = (SELECT tenant_org_id()))
    WITH CHECK (org_id = (SELECT tenant_org_id()));

ALTER TABLE payment_allocation ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON payment_allocation
    FOR ALL TO authenticated
    USING (org_id = (SELECT tenant_org_id()))
    WITH CHECK (org_id = (SELECT tenant_org_id()));

REVOKE ALL ON invoice, invoice_item, payment, payment_allocation FROM PUBLIC, anon, authenticated;

-- step: journal
CREATE TABLE journal_entry (
    id              uuid           PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id          uuid           NOT NULL,
    entry_number    text           NOT NULL,
    description     text           NOT NULL,
    entry_date      date           DEFAULT CURRENT_DATE,
    reference_type  text,
    reference_id    uuid,
    total_debits    numeric(15,2)  DEFAULT 0,
    total_credits   numeric(15,2)  DEFAULT 0,
    is_posted       boolean        DEFAULT false,
    posted_at       timestamptz,
    posted_by       uuid,
    created_by      uuid           NOT NULL DEFAULT tenant_user_id(),
    created_at      timestamptz    DEFAULT now(),
    currency        currency_code,

    CONSTRAINT journal_entry_number_is_unique_in_organization
        UNIQUE (org_id, entry_number),
    CONSTRAINT journal_entry_number_length
        CHECK (char_length(entry_number) BETWEEN 1 AND 200),
    CONSTRAINT journal_entry_description_length
        CHECK (char_length(description) BETWEEN 1 AND 1000),
    CONSTRAINT journal_entry_reference_type_is_a_lower_case_word
        CHECK (reference_type ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT journal_entry_reference_has_a_type
        CHECK (reference_id IS NULL OR reference_type IS NOT NULL),
    CONSTRAINT journal_entry_amounts_are_known
        CHECK (num_nulls(total_debits, total_credits, is_posted, currency, entry_date) = 0),
    CONSTRAINT journal_entry_amounts_not_negative
        CHECK (total_debits BETWEEN 0 AND 9999999999999.99 AND total_credits BETWEEN 0 AND 9999999999999.99),
    CONSTRAINT journal_entry_posted_is_balanced
        CHECK (NOT is_posted OR (total_debits = total_credits AND total_debits > 0)),
    CONSTRAINT journal_entry_posted_has_its_time
        CHECK (is_posted = (posted_at IS NOT NULL) AND (is_posted OR posted_by IS NULL))
);

COMMENT ON TABLE  journal_entry IS 'Double entry: its lines'' debits equal its credits before it can be posted, and once posted nothing of it changes; a mistake is reversed by another entry.';
COMMENT ON COLUMN journal_entry.total_debits IS 'money: in currency: sum of the lines'' debits; kept by trigger.';
COMMENT ON COLUMN journal_entry.total_credits IS 'money: in currency: sum of the lines'' credits; kept by trigger.';
COMMENT ON COLUMN journal_entry.currency IS 'money: the organisation''s currency when it was written, beside the columns the application knows: settings may change, books do not.';
COMMENT ON COLUMN journal_entry.reference_type IS 'What it was written for: invoice, payment, reversal ...; reference_id is that row''s id, guarded by no foreign key.';
COMMENT ON COLUMN journal_entry.description IS 'personal data: free text: may name people.';

CREATE INDEX idx_journal_entry_date ON journal_entry (org_id, entry_date);
CREATE INDEX idx_journal_entry_reference ON journal_entry (reference_type, reference_id);
CREATE INDEX idx_journal_entry_posted_by ON journal_entry (posted_by);
CREATE INDEX idx_journal_entry_created_by ON journal_entry (created_by);
CREATE UNIQUE INDEX journal_entry_is_reversed_once ON journal_entry (org_id, reference_id) WHERE reference_type = 'reversal';

CREATE TABLE journal_entry_line (
    id                uuid           PRIMARY KEY DEFAULT gen_random_uuid(),
    journal_entry_id  uuid           NOT NULL,
    account_id        uuid           NOT NULL,
    description       text,
    debit_amount      numeric(15,2)  DEFAULT 0,
    credit_amount     numeric(15,2)  DEFAULT 0,
    line_number       integer        NOT NULL,
    created_at        timestamptz    DEFAULT now(),

    CONSTRAINT journal_entry_line_number_is_unique_in_entry
        UNIQUE (journal_entry_id, line_number),
    CONSTRAINT journal_entry_line_journal_entry_id_fkey
        FOREIGN KEY (journal_entry_id) REFERENCES journal_entry (id) ON DELETE CASCADE,
    -- Deferred: deleting an organisation deletes its accounts before it reaches the lines of its drafts.
    CONSTRAINT journal_entry_line_account_id_fkey
        FOREIGN KEY (account_id) REFERENCES account (id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT journal_entry_line_number_positive
        CHECK (line_number > 0),
    CONSTRAINT journal_entry_line_amounts_not_negative
        CHECK (
            coalesce(debit_amount, 0) BETWEEN 0 AND 9999999999999.99
            AND coalesce(credit_amount, 0) BETWEEN 0 AND 9999999999999.99
        ),
    CONSTRAINT journal_entry_line_is_debit_or_credit
        CHECK ((coalesce(debit_amount, 0) > 0) <> (coalesce(credit_amount, 0) > 0))
);

COMMENT ON TABLE  journal_entry_line IS 'A debit or a credit of an account, as a part of an entry.';
COMMENT ON COLUMN journal_entry_line.debit_amount IS 'money: in the entry''s currency; 0 on a credit.';
COMMENT ON COLUMN journal_entry_line.credit_amount IS 'money: in the entry''s currency; 0 on a debit.';
COMMENT ON COLUMN journal_entry_line.description IS 'personal data: free text: may name people.';

CREATE INDEX idx_journal_entry_line_account ON journal_entry_line (account_id);

-- step: the journal guards itself
-- Each guard pins its search_path: a writer could put a temporary table of the same name before ours. Each stands also
-- AFTER the change: what another BEFORE trigger altered or suppressed is seen there. Lines lock their entry before they
-- ask whether it is posted, posting locks it as well: a line cannot slip in between. Guards are plain triggers, not ENABLE
-- ALWAYS: a restore in replication role, which takes a superuser, must bring posted entries back.
CREATE FUNCTION keep_journal_entry()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
DECLARE
    lines  record;
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.is_posted THEN
        RAISE EXCEPTION 'journal entry % is posted, and posted entries are not changed', OLD.entry_number
            USING ERRCODE = 'restrict_violation',
                  TABLE = 'journal_entry',
                  HINT = 'Reverse it with reverse_journal_entry(entry_id).';
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;

    NEW.is_posted := coalesce(NEW.is_posted, false);
    NEW.entry_date := coalesce(NEW.entry_date, CURRENT_DATE);

    IF TG_OP = 'INSERT' THEN
        NEW.currency := coalesce(NEW.currency, (SELECT k.currency FROM organization_currency AS k WHERE k.org_id = NEW.org_id AND k.source <> 'kept'));
        IF NEW.is_posted THEN
            RAISE EXCEPTION 'journal entry % has no lines yet: it is written first, then posted', NEW.entry_number
                USING ERRCODE = 'check_violation',
                      TABLE = 'journal_entry',
                      CONSTRAINT = 'journal_entry_posted_is_balanced',
                      HINT = 'Insert it unposted, insert its lines, then post_journal_entry(entry_id).';
        END IF;
    ELSIF NEW.currency IS DISTINCT FROM OLD.currency AND EXISTS (SELECT FROM journal_entry_line WHERE journal_entry_id = OLD.id) THEN
        RAISE EXCEPTION 'journal entry % has lines in %: amounts do not change their currency by a change of name', OLD.entry_number, OLD.currency
            USING ERRCODE = 'check_violation',
                  TABLE = 'journal_entry',
                  COLUMN = 'currency';
    END IF;

    SELECT coalesce(sum(l.debit_amount), 0) AS debits, coalesce(sum(l.credit_amount), 0) AS credits
    INTO lines
    FROM journal_entry_line AS l
    WHERE l.journal_entry_id = OLD.id;   -- NULL on INSERT: a key that was chosen by a client may be another tenant's

    NEW.total_debits := lines.debits;
    NEW.total_credits := lines.credits;

    IF NEW.is_posted THEN
        IF NEW.total_debits <> NEW.total_credits OR NEW.total_debits = 0 THEN
            RAISE EXCEPTION 'journal entry % does not balance: debits %, credits %', NEW.entry_number, NEW.total_debits, NEW.total_credits
                USING ERRCODE = 'check_violation',
                      TABLE = 'journal_entry',
                      CONSTRAINT = 'journal_entry_posted_is_balanced';
        END IF;
        NEW.posted_at := now();
        NEW.posted_by := coalesce((SELECT p.id FROM profile AS p WHERE p.id = tenant_user_id()), NEW.posted_by);
    ELSE
        NEW.posted_at := NULL;
        NEW.posted_by := NULL;
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION keep_journal_entry() IS 'Trigger on journal_entry: sums follow from its lines; it is posted only when balanced, and never changed after.';

CREATE FUNCTION verify_posted_entry()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
DECLARE
    lines  record;
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.is_posted THEN
        RAISE EXCEPTION 'journal entry % is posted, and posted entries are not changed', OLD.entry_number
            USING ERRCODE = 'restrict_violation',
                  TABLE = 'journal_entry',
                  HINT = 'Reverse it with reverse_journal_entry(entry_id).';
    END IF;

    SELECT coalesce(sum(l.debit_amount), 0) AS debits, coalesce(sum(l.credit_amount), 0) AS credits
    INTO lines
    FROM journal_entry_line AS l
    WHERE l.journal_entry_id = NEW.id;

    IF NEW.is_posted AND (
        lines.debits <> lines.credits OR lines.debits = 0
        OR lines.debits <> NEW.total_debits OR lines.credits <> NEW.total_credits
    ) THEN
        RAISE EXCEPTION 'journal entry % does not balance: debits %, credits %', NEW.entry_number, lines.debits, lines.credits
            USING ERRCODE = 'check_violation',
                  TABLE = 'journal_entry',
                  CONSTRAINT = 'journal_entry_posted_is_balanced';
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION verify_posted_entry() IS 'Trigger on journal_entry, after the change: what is posted balances, whatever other triggers did.';

CREATE FUNCTION keep_journal_totals()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
DECLARE
    touched  uuid;
    entry    journal_entry;
BEGIN
    FOR touched IN
        SELECT DISTINCT id FROM unnest(ARRAY[
            CASE WHEN TG_OP <> 'INSERT' THEN OLD.journal_entry_id END,
            CASE WHEN TG_OP <> 'DELETE' THEN NEW.journal_entry_id END
        ]) AS id WHERE id IS NOT NULL ORDER BY id
    LOOP
        SELECT * INTO entry FROM journal_entry WHERE id = touched FOR NO KEY UPDATE;

        -- Not there: the entry is being deleted with its lines, or the foreign key refuses. Unless row security was
        -- forced upon the owner, and hides it: then nobody can tell.
        IF NOT FOUND THEN
            IF row_security_active('journal_entry'::regclass) THEN
                RAISE EXCEPTION 'journal entry % cannot be seen by its own guard', touched
                    USING ERRCODE = 'restrict_violation',
                          HINT = 'Row security must not be forced upon the owner of journal_entry.';
            END IF;
            CONTINUE;
        END IF;

        IF entry.is_posted THEN
            RAISE EXCEPTION 'journal entry % is posted, and lines of posted entries are not changed', entry.entry_number
                USING ERRCODE = 'restrict_violation',
                      TABLE = 'journal_entry_line',
                      HINT = 'Reverse it with reverse_journal_entry(entry_id).';
        END IF;

        IF TG_OP <> 'DELETE' AND touched = NEW.journal_entry_id THEN
            IF coalesce(NEW.debit_amount, 0) + coalesce(NEW.credit_amount, 0)
                <> round_money(coalesce(NEW.debit_amount, 0) + coalesce(NEW.credit_amount, 0), entry.currency)
            THEN
                RAISE EXCEPTION 'line % of journal entry %: finer than the minor unit of %', NEW.line_number, entry.entry_number, entry.currency
                    USING ERRCODE = 'check_violation',
                          TABLE = 'journal_entry_line';
            END IF;
        END IF;

        UPDATE journal_entry SET total_debits = total_debits WHERE id = touched;
    END LOOP;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION keep_journal_totals() IS 'Trigger on journal_entry_line: the entry takes its sums again; lines of a posted entry stay as they are.';

CREATE FUNCTION refuse_truncate_of_posted()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
BEGIN
    IF row_security_active('journal_entry'::regclass) OR EXISTS (SELECT FROM journal_entry WHERE is_posted) THEN
        RAISE EXCEPTION 'table % holds posted journal entries, and those are not deleted', TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation',
                  TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION refuse_truncate_of_posted() IS 'Trigger, BEFORE TRUNCATE: books are not emptied.';

CREATE FUNCTION keep_journal_totals_when_emptied()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
BEGIN
    UPDATE journal_entry SET total_debits = total_debits WHERE NOT is_posted;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION keep_journal_totals_when_emptied() IS 'Trigger on journal_entry_line, AFTER TRUNCATE: entries that are not posted take their sums again.';

-- What the books say depends on the accounts' types too.
CREATE FUNCTION refuse_change_of_used_account()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (NEW.id, NEW.account_type, NEW.normal_balance) = (OLD.id, OLD.account_type, OLD.normal_balance) THEN
        RETURN NULL;
    END IF;
    IF EXISTS (
        SELECT FROM journal_entry_line AS l JOIN journal_entry AS e ON e.id = l.journal_entry_id
        WHERE l.account_id = OLD.id AND e.is_posted
    ) THEN
        RAISE EXCEPTION 'account % stands in posted journal entries, and stays what it is', OLD.code
            USING ERRCODE = 'restrict_violation',
                  TABLE = 'account',
                  HINT = 'Make a new account, and post the balance over to it.';
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION refuse_change_of_used_account() IS 'Trigger on account: what posted entries were read by stays; another one cannot take its place either, between the deferred looks of their foreign key.';

CREATE FUNCTION post_journal_entry(entry_id uuid)
    RETURNS journal_entry
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
DECLARE
    entry  journal_entry;
BEGIN
    SELECT * INTO entry FROM journal_entry WHERE id = entry_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no journal entry %', entry_id
            USING ERRCODE = 'no_data_found';
    END IF;

    UPDATE journal_entry SET is_posted = true WHERE id = entry_id RETURNING * INTO entry;
    RETURN entry;
END
$$;

COMMENT ON FUNCTION post_journal_entry(uuid) IS 'Posts a balanced entry and returns it; an error when it does not balance, is posted already, or is not the caller''s.';

CREATE FUNCTION reverse_journal_entry(
    entry_id       uuid,
    reversal_date  date DEFAULT CURRENT_DATE,
    reason         text DEFAULT NULL
)
    RETURNS uuid
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
DECLARE
    entry     journal_entry;
    reversal  uuid;
BEGIN
    SELECT * INTO entry FROM journal_entry WHERE id = entry_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no journal entry %', entry_id
            USING ERRCODE = 'no_data_found';
    END IF;
    IF NOT entry.is_posted THEN
        RAISE EXCEPTION 'journal entry % is not posted: change or delete it instead', entry.entry_number
            USING ERRCODE = 'check_violation',
                  TABLE = 'journal_entry';
    END IF;

    INSERT INTO journal_entry (org_id, entry_number, description, entry_date, reference_type, reference_id, currency, created_by)
    VALUES (
        entry.org_id,
        '',
        left(format('Reversal of %s: %s', entry.entry_number, coalesce(reason, entry.description)), 1000),
        reversal_date,
        'reversal',
        entry.id,
        entry.currency,
        coalesce((SELECT p.id FROM profile AS p WHERE p.id = tenant_user_id()), entry.created_by)
    )
    RETURNING id INTO reversal;

    INSERT INTO journal_entry_line (journal_entry_id, account_id, description, debit_amount, credit_amount, line_number)
    SELECT reversal, l.account_id, l.description, coalesce(l.credit_amount, 0), coalesce(l.debit_amount, 0), l.line_number
    FROM journal_entry_line AS l
    WHERE l.journal_entry_id = entry_id
    ORDER BY l.line_number;

    PERFORM post_journal_entry(reversal);
    RETURN reversal;
END
$$;

COMMENT ON FUNCTION reverse_journal_entry(uuid, date, text) IS 'Posts the mirror image of a posted entry, once, and returns its id.';

REVOKE EXECUTE ON FUNCTION
    keep_journal_entry(),
    verify_posted_entry(),
    keep_journal_totals(),
    keep_journal_totals_when_emptied(),
    refuse_truncate_of_posted(),
    refuse_change_of_used_account(),
    post_journal_entry(uuid),
    reverse_journal_entry(uuid, date, text)
    FROM PUBLIC, anon, authenticated;

CREATE TRIGGER assign_document_number
    BEFORE INSERT ON journal_entry
    FOR EACH ROW EXECUTE FUNCTION assign_document_number('journal_entry', 'entry_number');
CREATE TRIGGER keep_journal_entry
    BEFORE INSERT OR UPDATE OR DELETE ON journal_entry
    FOR EACH ROW EXECUTE FUNCTION keep_journal_entry();
CREATE TRIGGER refuse_missing_currency
    BEFORE INSERT ON journal_entry
    FOR EACH ROW EXECUTE FUNCTION refuse_missing_currency();
CREATE TRIGGER stay_in_organization
    BEFORE UPDATE OF org_id ON journal_entry
    FOR EACH ROW WHEN (NEW.org_id IS DISTINCT FROM OLD.org_id)
    EXECUTE FUNCTION stay_in_organization();
CREATE CONSTRAINT TRIGGER same_organization
    AFTER INSERT OR UPDATE OF posted_by, created_by ON journal_entry
    FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization('org_id', 'posted_by profile', 'created_by profile');
CREATE TRIGGER verify_posted_entry
    AFTER INSERT OR UPDATE ON journal_entry
    FOR EACH ROW EXECUTE FUNCTION verify_posted_entry();
CREATE TRIGGER refuse_truncate_of_posted
    BEFORE TRUNCATE ON journal_entry
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate_of_posted();
-- Columns are named so that a line's change of the sums is not audited twice.
CREATE TRIGGER record_audit
    AFTER INSERT OR DELETE
    OR UPDATE OF id, org_id, entry_number, description, entry_date, reference_type, reference_id, is_posted, posted_at,
        posted_by, created_by, currency
    ON journal_entry
    FOR EACH ROW EXECUTE FUNCTION record_audit();

CREATE TRIGGER keep_journal_totals
    AFTER INSERT OR UPDATE OR DELETE ON journal_entry_line
    FOR EACH ROW EXECUTE FUNCTION keep_journal_totals();
CREATE CONSTRAINT TRIGGER same_organization
    AFTER INSERT OR UPDATE OF journal_entry_id, account_id ON journal_entry_line
    FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization('journal_entry_id journal_entry', 'account_id account');
CREATE TRIGGER refuse_truncate_of_posted
    BEFORE TRUNCATE ON journal_entry_line
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate_of_posted();
CREATE TRIGGER keep_journal_totals_when_emptied
    AFTER TRUNCATE ON journal_entry_line
    FOR EACH STATEMENT EXECUTE FUNCTION keep_journal_totals_when_emptied();
CREATE TRIGGER record_audit
    AFTER INSERT OR UPDATE OR DELETE ON journal_entry_line
    FOR EACH ROW EXECUTE FUNCTION record_audit('journal_entry_id journal_entry');

CREATE TRIGGER refuse_change_of_used_account
    AFTER DELETE OR UPDATE OF id, account_type, normal_balance ON account
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_used_account();

ALTER TABLE journal_entry ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON journal_entry
    FOR ALL TO authenticated
    USING (org_id = (SELECT tenant_org_id()))
    WITH CHECK (org_id = (SELECT tenant_org_id()));

ALTER TABLE journal_entry_line ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON journal_entry_line
    FOR ALL TO authenticated
    USING (EXISTS (SELECT FROM journal_entry AS e WHERE e.id = journal_entry_id AND e.org_id = (SELECT tenant_org_id())))
    WITH CHECK (EXISTS (SELECT FROM journal_entry AS e WHERE e.id = journal_entry_id AND e.org_id = (SELECT tenant_org_id())));

REVOKE ALL ON journal_entry, journal_entry_line FROM PUBLIC, anon, authenticated;

-- step: finance belongs to organisations
-- The triggers come with the foreign keys, under the one lock: no organisation slips in between them and the backfills.
ALTER TABLE organization_currency
    ADD CONSTRAINT organization_currency_org_id_fkey FOREIGN KEY (org_id) REFERENCES organization (id) ON DELETE CASCADE NOT VALID;
ALTER TABLE account
    ADD CONSTRAINT account_org_id_fkey FOREIGN KEY (org_id) REFERENCES organization (id) ON DELETE CASCADE NOT VALID;
ALTER TABLE tax_rate
    ADD CONSTRAINT tax_rate_org_id_fkey FOREIGN KEY (org_id) REFERENCES organization (id) ON DELETE CASCADE NOT VALID;
ALTER TABLE exchange_rate
    ADD CONSTRAINT exchange_rate_org_id_fkey FOREIGN KEY (org_id) REFERENCES organization (id) ON DELETE CASCADE NOT VALID;
ALTER TABLE invoice
    ADD CONSTRAINT invoice_org_id_fkey FOREIGN KEY (org_id) REFERENCES organization (id) ON DELETE CASCADE NOT VALID;
ALTER TABLE payment
    ADD CONSTRAINT payment_org_id_fkey FOREIGN KEY (org_id) REFERENCES organization (id) ON DELETE CASCADE NOT VALID;
ALTER TABLE payment_allocation
    ADD CONSTRAINT payment_allocation_org_id_fkey FOREIGN KEY (org_id) REFERENCES organization (id) ON DELETE CASCADE NOT VALID;
ALTER TABLE journal_entry
    ADD CONSTRAINT journal_entry_org_id_fkey FOREIGN KEY (org_id) REFERENCES organization (id) ON DELETE CASCADE NOT VALID;
CREATE TRIGGER give_default_accounts
    AFTER INSERT ON organization
    FOR EACH ROW EXECUTE FUNCTION give_default_accounts();
CREATE TRIGGER keep_organization_currency
    AFTER INSERT OR UPDATE OF settings ON organization
    FOR EACH ROW EXECUTE FUNCTION keep_organization_currency();

-- step: finance names users
ALTER TABLE invoice
    ADD CONSTRAINT invoice_created_by_fkey FOREIGN KEY (created_by) REFERENCES profile (id) NOT VALID;
ALTER TABLE payment
    ADD CONSTRAINT payment_processed_by_fkey FOREIGN KEY (processed_by) REFERENCES profile (id) ON DELETE SET NULL NOT VALID;
ALTER TABLE journal_entry
    ADD CONSTRAINT journal_entry_posted_by_fkey FOREIGN KEY (posted_by) REFERENCES profile (id) NOT VALID;
ALTER TABLE journal_entry
    ADD CONSTRAINT journal_entry_created_by_fkey FOREIGN KEY (created_by) REFERENCES profile (id) NOT VALID;

-- step: invoices and payments name customers
ALTER TABLE invoice
    ADD CONSTRAINT invoice_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customer (id) NOT VALID;
ALTER TABLE payment
    ADD CONSTRAINT payment_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customer (id) NOT VALID;

-- step: a customer that is invoiced stays in its organisation
CREATE TRIGGER stay_in_organization_with_invoices
    BEFORE UPDATE OF org_id ON customer
    FOR EACH ROW WHEN (NEW.org_id IS DISTINCT FROM OLD.org_id)
    EXECUTE FUNCTION stay_in_organization('invoice customer_id', 'payment customer_id');

-- step: invoices name orders
ALTER TABLE invoice
    ADD CONSTRAINT invoice_sales_order_id_fkey FOREIGN KEY (sales_order_id) REFERENCES sales_order (id) NOT VALID;

-- step: lines of invoices name products
-- Deferred: deleting an organisation deletes its products before it reaches the lines of its invoices.
ALTER TABLE invoice_item
    ADD CONSTRAINT invoice_item_product_id_fkey FOREIGN KEY (product_id) REFERENCES product (id)
    DEFERRABLE INITIALLY DEFERRED NOT VALID;

-- step: currency of organisations  batched over organization
INSERT INTO organization_currency (org_id, currency, source, code_found, decided_by)
SELECT o.id, found.currency, found.source, found.code_found, found.decided_by
FROM organization AS o
CROSS JOIN LATERAL currency_of_settings(o.settings) AS found
WHERE o.id > $1
  AND o.id <= $2
ON CONFLICT (org_id) DO NOTHING;

-- step: default accounts of organisations  batched over organization
INSERT INTO account (id, org_id, code, name, account_type, normal_balance, parent_account_id)
SELECT d.id, d.org_id, d.code, d.name, d.account_type, d.normal_balance, d.parent_account_id
FROM organization AS o
CROSS JOIN LATERAL default_accounts(o.id) AS d
WHERE o.id > $1
  AND o.id <= $2
ON CONFLICT (org_id, code) DO NOTHING;

-- step: foreign keys of finance hold for every row
ALTER TABLE organization_currency VALIDATE CONSTRAINT organization_currency_org_id_fkey;
ALTER TABLE account VALIDATE CONSTRAINT account_org_id_fkey;
ALTER TABLE tax_rate VALIDATE CONSTRAINT tax_rate_org_id_fkey;
ALTER TABLE exchange_rate VALIDATE CONSTRAINT exchange_rate_org_id_fkey;
ALTER TABLE invoice VALIDATE CONSTRAINT invoice_org_id_fkey;
ALTER TABLE invoice VALIDATE CONSTRAINT invoice_created_by_fkey;
ALTER TABLE invoice VALIDATE CONSTRAINT invoice_customer_id_fkey;
ALTER TABLE invoice VALIDATE CONSTRAINT invoice_sales_order_id_fkey;
ALTER TABLE invoice_item VALIDATE CONSTRAINT invoice_item_product_id_fkey;
ALTER TABLE payment VALIDATE CONSTRAINT payment_org_id_fkey;
ALTER TABLE payment VALIDATE CONSTRAINT payment_processed_by_fkey;
ALTER TABLE payment VALIDATE CONSTRAINT payment_customer_id_fkey;
ALTER TABLE payment_allocation VALIDATE CONSTRAINT payment_allocation_org_id_fkey;
ALTER TABLE journal_entry VALIDATE CONSTRAINT journal_entry_org_id_fkey;
ALTER TABLE journal_entry VALIDATE CONSTRAINT journal_entry_posted_by_fkey;
ALTER TABLE journal_entry VALIDATE CONSTRAINT journal_entry_created_by_fkey;

-- step: every organisation has a currency
DO $$
DECLARE
    wrong     text;
    decision  record;
BEGIN
    IF to_regclass('mantis_runbook.decision') IS NOT NULL THEN
        EXECUTE $query$
            SELECT string_agg(format('%L is to be %L', key, value), ', ' ORDER BY key)
            FROM mantis_runbook.decision
            WHERE subject = 'currency'
              AND NOT EXISTS (SELECT FROM pg_enum WHERE enumtypid = 'public.currency_code'::regtype AND enumlabel = value)
        $query$ INTO wrong;
        IF wrong IS NOT NULL THEN
            RAISE EXCEPTION 'decided currencies that are no label of currency_code: %', wrong
                USING ERRCODE = 'invalid_parameter_value',
                      HINT = 'Map the code to a label, or add the label first with ALTER TYPE currency_code ADD VALUE, which cannot be taken back.';
        END IF;

        FOR decision IN EXECUTE $query$
            -- What was added is a label, and needs no mapping; unless it was added while organisations were waiting for it.
            SELECT key, value, decided_by
            FROM mantis_runbook.decision
            WHERE subject = 'currency'
              AND (value <> key OR key IN (SELECT code_found FROM public.organization_currency WHERE source IN ('kept', 'undecided')))
            ORDER BY key
        $query$ LOOP
            PERFORM decide_currency(decision.key, decision.value::currency_code, decision.decided_by);
        END LOOP;
    END IF;

    SELECT string_agg(format('%L (%s organizations)', code_found, organizations), ', ' ORDER BY code_found)
    INTO wrong
    FROM (
        SELECT code_found, count(*) AS organizations
        FROM organization_currency
        WHERE source IN ('undecided', 'kept')
        GROUP BY code_found
    ) AS waiting;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'currencies that nobody has decided: %', wrong
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Record in mantis_runbook.decision (subject currency, key the code, value a label) what each means, then run again.';
    END IF;
END
$$;

-- step: quotes and orders ask for the decided currency
-- lint: allow renaming-object because the name is taken again before the step commits: no client sees it missing
ALTER FUNCTION organization_currency(uuid) RENAME TO organization_currency_of_settings;

-- NULL and no error for an organisation that is not there or not visible: row security and foreign keys refuse those.
-- OR REPLACE tells the prechecks that the name is taken on purpose; nothing has it any more.
CREATE OR REPLACE FUNCTION organization_currency(organization_id uuid)
    RETURNS currency_code
    LANGUAGE plpgsql
    STABLE
    SET search_path = public, pg_temp
AS $$
DECLARE
    known  record;
BEGIN
    SELECT k.currency, k.code_found, k.source
    INTO known
    FROM organization_currency AS k
    WHERE k.org_id = organization_id;

    IF known.source IN ('kept', 'undecided') THEN
        RAISE EXCEPTION 'organisation % has the currency %, which nobody has decided yet', organization_id, quote_literal(known.code_found)
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Correct settings -> currency of the organisation, or let an operator run decide_currency(code, currency, decided_by).';
    END IF;

    RETURN known.currency;
END
$$;

COMMENT ON FUNCTION organization_currency(uuid) IS
    'The currency of an organisation''s amounts: its settings'' or the decided one; an error while nobody has decided, NULL for an organisation the caller may not see.';

-- Not with the others in the last step: what 002 made calls it from now on.
REVOKE EXECUTE ON FUNCTION organization_currency(uuid) FROM PUBLIC, anon;
GRANT EXECUTE ON FUNCTION organization_currency(uuid) TO authenticated, service_role;
GRANT SELECT ON organization_currency TO authenticated, service_role;

-- Sessions keep the plan of fill_currency(), and with it the function that had the name before. Its setting is written once
-- more as it was: PostgreSQL compiles a function whose row has changed anew, in every session.
ALTER FUNCTION fill_currency() SET search_path = public, pg_temp;

-- step: a line of a purchase order has its order's currency
-- The order is locked as keep_purchase_order_total will lock it a moment later: no more waiting than before, and a change
-- of the order's currency cannot pass by a line that is being written.
CREATE FUNCTION fill_currency_of_order()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
DECLARE
    ordered  currency_code := (SELECT o.currency FROM purchase_order AS o WHERE o.id = NEW.purchase_order_id FOR NO KEY UPDATE);
BEGIN
    NEW.currency := coalesce(NEW.currency, ordered);
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION fill_currency_of_order() IS 'Trigger, BEFORE, on purchase_order_item: a line without a currency gets its order''s.';

-- AFTER: row security has refused by then who asks about another tenant's order.
CREATE FUNCTION refuse_other_currency()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
DECLARE
    ordered  currency_code := (SELECT o.currency FROM purchase_order AS o WHERE o.id = NEW.purchase_order_id);
BEGIN
    IF NEW.currency <> ordered THEN
        RAISE EXCEPTION 'a line in % does not fit a purchase order in %', NEW.currency, ordered
            USING ERRCODE = 'check_violation',
                  TABLE = 'purchase_order_item',
                  COLUMN = 'currency',
                  CONSTRAINT = 'purchase_order_item_currency_is_its_orders';
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION refuse_other_currency() IS 'Trigger, AFTER, on purchase_order_item: a line has the currency of its order, and no other.';

CREATE FUNCTION pass_currency_to_lines()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
BEGIN
    UPDATE purchase_order_item
    SET currency = NEW.currency
    WHERE purchase_order_id = NEW.id
      AND currency IS DISTINCT FROM NEW.currency;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION pass_currency_to_lines() IS 'Trigger on purchase_order: its lines follow when its currency is corrected.';

REVOKE EXECUTE ON FUNCTION fill_currency_of_order(), refuse_other_currency(), pass_currency_to_lines() FROM PUBLIC, anon, authenticated;

-- step: customers can have a currency
ALTER TABLE customer ADD COLUMN currency currency_code;
COMMENT ON COLUMN customer.currency IS 'money: the currency of lifetime_value; the organisation''s where the application does not say.';
CREATE TRIGGER fill_currency
    BEFORE INSERT ON customer
    FOR EACH ROW EXECUTE FUNCTION fill_currency_of_organization();
CREATE TRIGGER refuse_missing_currency
    BEFORE INSERT ON customer
    FOR EACH ROW EXECUTE FUNCTION refuse_missing_currency();

-- step: inventory items can have a currency
ALTER TABLE inventory_item ADD COLUMN currency currency_code;
COMMENT ON COLUMN inventory_item.currency IS 'money: the currency of unit_price; the organisation''s where the application does not say.';
CREATE TRIGGER fill_currency
    BEFORE INSERT ON inventory_item
    FOR EACH ROW EXECUTE FUNCTION fill_currency_of_organization();
CREATE TRIGGER refuse_missing_currency
    BEFORE INSERT ON inventory_item
    FOR EACH ROW EXECUTE FUNCTION refuse_missing_currency();

-- step: purchase orders can have a currency
ALTER TABLE purchase_order ADD COLUMN currency currency_code;
COMMENT ON COLUMN purchase_order.currency IS 'money: the currency of total_amount, tax_amount and shipping_amount; the organisation''s where the application does not say.';
CREATE TRIGGER fill_currency
    BEFORE INSERT ON purchase_order
    FOR EACH ROW EXECUTE FUNCTION fill_currency_of_organization();
CREATE TRIGGER refuse_missing_currency
    BEFORE INSERT ON purchase_order
    FOR EACH ROW EXECUTE FUNCTION refuse_missing_currency();

-- step: currency of customers  batched over customer  without triggers
UPDATE customer AS c
SET currency = k.currency
FROM organization_currency AS k
WHERE k.org_id = c.org_id
  AND c.id > $1
  AND c.id <= $2
  AND c.currency IS NULL;

-- step: currency of inventory items  batched over inventory_item  without triggers
UPDATE inventory_item AS i
SET currency = k.currency
FROM organization_currency AS k
WHERE k.org_id = i.org_id
  AND i.id > $1
  AND i.id <= $2
  AND i.currency IS NULL;

-- step: currency of purchase orders  batched over purchase_order  without triggers
UPDATE purchase_order AS o
SET currency = k.currency
FROM organization_currency AS k
WHERE k.org_id = o.org_id
  AND o.id > $1
  AND o.id <= $2
  AND o.currency IS NULL;

-- step: lines of purchase orders can have a currency
ALTER TABLE purchase_order_item ADD COLUMN currency currency_code;
COMMENT ON COLUMN purchase_order_item.currency IS 'money: the currency of unit_price and total_price; always the order''s.';
CREATE TRIGGER fill_currency
    BEFORE INSERT OR UPDATE OF currency, purchase_order_id ON purchase_order_item
    FOR EACH ROW EXECUTE FUNCTION fill_currency_of_order();
CREATE TRIGGER refuse_missing_currency
    BEFORE INSERT ON purchase_order_item
    FOR EACH ROW EXECUTE FUNCTION refuse_missing_currency();
CREATE TRIGGER refuse_other_currency
    AFTER INSERT OR UPDATE OF currency, purchase_order_id ON purchase_order_item
    FOR EACH ROW EXECUTE FUNCTION refuse_other_currency();

-- step: lines follow their order's currency
CREATE TRIGGER pass_currency_to_lines
    AFTER UPDATE OF currency ON purchase_order
    FOR EACH ROW WHEN (OLD.currency IS DISTINCT FROM NEW.currency) EXECUTE FUNCTION pass_currency_to_lines();

-- step: currency of lines of purchase orders  batched over purchase_order_item  without triggers
-- A subquery, so that a batch looks up its own orders: a join would read all of them for each batch.
UPDATE purchase_order_item AS i
SET currency = (SELECT currency FROM purchase_order AS o WHERE o.id = i.purchase_order_id)
WHERE id > $1
  AND id <= $2
  AND currency IS NULL;

-- step: customers to come have a currency
ALTER TABLE customer ADD CONSTRAINT customer_has_currency CHECK (currency IS NOT NULL) NOT VALID;

-- step: every customer has a currency
ALTER TABLE customer VALIDATE CONSTRAINT customer_has_currency;

-- step: customers need a currency
-- lint: allow ban-drop-constraint because NOT NULL, set in the same transaction, says the same
ALTER TABLE customer ALTER COLUMN currency SET NOT NULL;
ALTER TABLE customer DROP CONSTRAINT customer_has_currency;

-- step: inventory items to come have a currency
ALTER TABLE inventory_item ADD CONSTRAINT inventory_item_has_currency CHECK (currency IS NOT NULL) NOT VALID;

-- step: every inventory item has a currency
ALTER TABLE inventory_item VALIDATE CONSTRAINT inventory_item_has_currency;

-- step: inventory items need a currency
-- lint: allow ban-drop-constraint because NOT NULL, set in the same transaction, says the same
ALTER TABLE inventory_item ALTER COLUMN currency SET NOT NULL;
ALTER TABLE inventory_item DROP CONSTRAINT inventory_item_has_currency;

-- step: purchase orders to come have a currency
ALTER TABLE purchase_order ADD CONSTRAINT purchase_order_has_currency CHECK (currency IS NOT NULL) NOT VALID;

-- step: every purchase order has a currency
ALTER TABLE purchase_order VALIDATE CONSTRAINT purchase_order_has_currency;

-- step: purchase orders need a currency
-- lint: allow ban-drop-constraint because NOT NULL, set in the same transaction, says the same
ALTER TABLE purchase_order ALTER COLUMN currency SET NOT NULL;
ALTER TABLE purchase_order DROP CONSTRAINT purchase_order_has_currency;

-- step: lines of purchase orders to come have a currency
ALTER TABLE purchase_order_item ADD CONSTRAINT purchase_order_item_has_currency CHECK (currency IS NOT NULL) NOT VALID;

-- step: every line of a purchase order has a currency
ALTER TABLE purchase_order_item VALIDATE CONSTRAINT purchase_order_item_has_currency;

-- step: lines of purchase orders need a currency
-- lint: allow ban-drop-constraint because NOT NULL, set in the same transaction, says the same
ALTER TABLE purchase_order_item ALTER COLUMN currency SET NOT NULL;
ALTER TABLE purchase_order_item DROP CONSTRAINT purchase_order_item_has_currency;

-- step: statistics of what was backfilled
-- Autovacuum would get round to it; until then the planner takes the new columns for empty. Statistics that somebody
-- defined over an expression may fail by themselves, as they would for autovacuum: that is told, and fails nothing.
DO $$
DECLARE
    name  text;
BEGIN
    FOREACH name IN ARRAY '{customer,inventory_item,purchase_order,purchase_order_item}'::text[] LOOP
        BEGIN
            EXECUTE format('ANALYZE %I', name);
        EXCEPTION
            WHEN lock_not_available OR deadlock_detected THEN RAISE;
            WHEN OTHERS THEN RAISE WARNING 'table % has no new statistics: %', name, SQLERRM;
        END;
    END LOOP;
END
$$;

-- step: open the new tables to the application
GRANT SELECT, INSERT, UPDATE, DELETE ON
    account, tax_rate, exchange_rate, invoice, invoice_item, payment, payment_allocation, journal_entry, journal_entry_line
    TO authenticated;
GRANT ALL ON
    currency_mapping, organization_currency, account, tax_rate, exchange_rate, invoice, invoice_item, payment,
    payment_allocation, journal_entry, journal_entry_line
    TO service_role;
GRANT EXECUTE ON FUNCTION
    default_accounts(uuid),
    create_default_accounts(uuid),
    convert_amount(numeric, currency_code, currency_code, date, uuid),
    post_journal_entry(uuid),
    reverse_journal_entry(uuid, date, text)
    TO authenticated, service_role;
GRANT EXECUTE ON FUNCTION
    currency_of_settings(jsonb),
    decide_currency(text, currency_code, text)
    TO service_role;
