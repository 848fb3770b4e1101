-- Migration 003: Financial management, rolled back
-- phase: 3
-- requires: 001, 002
--
-- What it is: takes back what 003 made, newest first: the currency of customers, items, purchase orders and their lines,
-- then the journal, payments, invoices, rates, accounts and the functions.
--
-- What it locks: the application is shut out of the new tables first. Then each existing table is locked once or twice
-- (ACCESS EXCLUSIVE) for the moment it takes to drop its triggers and its column, or the foreign keys that point to it.
-- Dropping the tables then touches new tables alone.
--
-- It may follow a migration that was cut off after any of its steps: what is not there is passed over.
--
-- What an operator must know:
-- - every row of the new tables goes, posted journal entries among them (no trigger guards against DROP), and the column
--   currency of four tables: salvage them first. No other column of an existing table changes, and updated_at does not.
-- - Rows of document_number for invoices, payments and journal entries stay: they belong to 002, and numbers that were
--   given out are not given again when 003 comes back. Rows of audit_log stay.
-- - A currency that the operator added stays a label of currency_code: PostgreSQL cannot drop one, rows of 002 may hold it,
--   and it is on record in mantis_runbook.decision. Rolling back 001 takes the whole type.
-- - Quotes, orders and opportunities ask organization.settings for their currency again; a code that was mapped is an
--   error there as before.
-- - Nothing is dropped with CASCADE: a later migration, or somebody's view, that refers to one of these makes the rollback
--   stop and say so.

-- step: close the new tables to the application
DO $$
DECLARE
    listed regclass;
BEGIN
    FOR listed IN
        SELECT oid
        FROM pg_class
        WHERE relnamespace = 'public'::regnamespace
          AND relname IN (
              'currency_mapping', 'account', 'tax_rate', 'exchange_rate', 'invoice', 'invoice_item', 'payment',
              'payment_allocation', 'journal_entry', 'journal_entry_line'
          )
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM authenticated, service_role', listed);
    END LOOP;
END
$$;

-- step: lines of purchase orders lose their currency
DROP TRIGGER IF EXISTS refuse_other_currency ON purchase_order_item;
DROP TRIGGER IF EXISTS refuse_missing_currency ON purchase_order_item;
DROP TRIGGER IF EXISTS fill_currency ON purchase_order_item;
ALTER TABLE IF EXISTS purchase_order_item DROP COLUMN IF EXISTS currency;

-- step: purchase orders lose their currency
DROP TRIGGER IF EXISTS pass_currency_to_lines ON purchase_order;
DROP TRIGGER IF EXISTS refuse_missing_currency ON purchase_order;
DROP TRIGGER IF EXISTS fill_currency ON purchase_order;
ALTER TABLE IF EXISTS purchase_order DROP COLUMN IF EXISTS currency;

-- step: inventory items lose their currency
DROP TRIGGER IF EXISTS refuse_missing_currency ON inventory_item;
DROP TRIGGER IF EXISTS fill_currency ON inventory_item;
ALTER TABLE IF EXISTS inventory_item DROP COLUMN IF EXISTS currency;

-- step: customers lose their currency, and invoices no longer name them
DROP TRIGGER IF EXISTS refuse_missing_currency ON customer;
DROP TRIGGER IF EXISTS fill_currency ON customer;
DROP TRIGGER IF EXISTS stay_in_organization_with_invoices ON customer;
ALTER TABLE IF EXISTS customer DROP COLUMN IF EXISTS currency;
ALTER TABLE IF EXISTS payment DROP CONSTRAINT IF EXISTS payment_customer_id_fkey;
ALTER TABLE IF EXISTS invoice DROP CONSTRAINT IF EXISTS invoice_customer_id_fkey;

-- step: quotes and orders ask the settings again
DO $$
BEGIN
    IF to_regprocedure('organization_currency_of_settings(uuid)') IS NOT NULL THEN
        DROP FUNCTION organization_currency(uuid);
        ALTER FUNCTION organization_currency_of_settings(uuid) RENAME TO organization_currency;
        -- As it was, so that no session goes on with the plan that calls what is gone.
        ALTER FUNCTION fill_currency() SET search_path = public, pg_temp;
    END IF;
END
$$;

-- step: lines of invoices no longer name products
ALTER TABLE IF EXISTS invoice_item DROP CONSTRAINT IF EXISTS invoice_item_product_id_fkey;

-- step: invoices no longer name orders
ALTER TABLE IF EXISTS invoice DROP CONSTRAINT IF EXISTS invoice_sales_order_id_fkey;

-- step: finance no longer names users
ALTER TABLE IF EXISTS journal_entry DROP CONSTRAINT IF EXISTS journal_entry_created_by_fkey;
ALTER TABLE IF EXISTS journal_entry DROP CONSTRAINT IF EXISTS journal_entry_posted_by_fkey;
ALTER TABLE IF EXISTS payment DROP CONSTRAINT IF EXISTS payment_processed_by_fkey;
ALTER TABLE IF EXISTS invoice DROP CONSTRAINT IF EXISTS invoice_created_by_fkey;

-- step: finance no longer belongs to organisations
DROP TRIGGER IF EXISTS keep_organization_currency ON organization;
DROP TRIGGER IF EXISTS give_default_accounts ON organization;
ALTER TABLE IF EXISTS journal_entry DROP CONSTRAINT IF EXISTS journal_entry_org_id_fkey;
ALTER TABLE IF EXISTS payment_allocation DROP CONSTRAINT IF EXISTS payment_allocation_org_id_fkey;
ALTER TABLE IF EXISTS payment DROP CONSTRAINT IF EXISTS payment_org_id_fkey;
ALTER TABLE IF EXISTS invoice DROP CONSTRAINT IF EXISTS invoice_org_id_fkey;
ALTER TABLE IF EXISTS exchange_rate DROP CONSTRAINT IF EXISTS exchange_rate_org_id_fkey;
ALTER TABLE IF EXISTS tax_rate DROP CONSTRAINT IF EXISTS tax_rate_org_id_fkey;
ALTER TABLE IF EXISTS account DROP CONSTRAINT IF EXISTS account_org_id_fkey;
ALTER TABLE IF EXISTS organization_currency DROP CONSTRAINT IF EXISTS organization_currency_org_id_fkey;

-- step: journal
DROP FUNCTION IF EXISTS reverse_journal_entry(uuid, date, text);
DROP FUNCTION IF EXISTS post_journal_entry(uuid);
DROP TABLE IF EXISTS journal_entry_line;
DROP TABLE IF EXISTS journal_entry;
DROP FUNCTION IF EXISTS keep_journal_totals_when_emptied();
DROP FUNCTION IF EXISTS keep_journal_totals();
DROP FUNCTION IF EXISTS refuse_truncate_of_posted();
DROP FUNCTION IF EXISTS verify_posted_entry();
DROP FUNCTION IF EXISTS keep_journal_entry();

-- step: invoices and payments
DROP TABLE IF EXISTS payment_allocation;
DROP TABLE IF EXISTS payment;
DROP TABLE IF EXISTS invoice_item;
DROP TABLE IF EXISTS invoice;
DROP FUNCTION IF EXISTS keep_allocated_amounts();
DROP FUNCTION IF EXISTS settle_payment();
DROP FUNCTION IF EXISTS refuse_finer_payment();
DROP FUNCTION IF EXISTS keep_payment_amounts();
DROP FUNCTION IF EXISTS keep_invoice_line_total();
DROP FUNCTION IF EXISTS keep_invoice_amounts();

-- step: rates and accounts
DROP FUNCTION IF EXISTS convert_amount(numeric, currency_code, currency_code, date, uuid);
DROP TABLE IF EXISTS exchange_rate;
DROP TABLE IF EXISTS tax_rate;
DROP FUNCTION IF EXISTS create_default_accounts(uuid);
DROP FUNCTION IF EXISTS default_accounts(uuid);
DROP TABLE IF EXISTS account;
DROP FUNCTION IF EXISTS give_default_accounts();
DROP FUNCTION IF EXISTS refuse_change_of_used_account();
DROP FUNCTION IF EXISTS fill_normal_balance();
DROP FUNCTION IF EXISTS keep_account_in_tree();

-- step: currencies
DROP FUNCTION IF EXISTS pass_currency_to_lines();
DROP FUNCTION IF EXISTS refuse_other_currency();
DROP FUNCTION IF EXISTS fill_currency_of_order();
DROP FUNCTION IF EXISTS refuse_missing_currency();
DROP FUNCTION IF EXISTS fill_currency_of_organization();
DROP FUNCTION IF EXISTS decide_currency(text, currency_code, text);
DROP FUNCTION IF EXISTS keep_organization_currency();
DROP FUNCTION IF EXISTS currency_of_settings(jsonb);
DROP TABLE IF EXISTS organization_currency;
DROP TABLE IF EXISTS currency_mapping;
