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
-- What an operator must know:
-- - every row of the new tables goes, posted journal entries among them (no trigger guards against DROP), and the column
--   currency of four tables: salvage them first. No other column of an existing table changes, and updated_at does not.
-- - Rows of document_number for invoices, payments and journal entries stay: they belong to 002, and numbers that were
--   given out are not given again when 003 comes back. Rows of audit_log stay.
-- - Quotes, orders and opportunities ask organization.settings for their currency again; a code that was mapped is an
--   error there as before.
-- - Nothing is dropped with CASCADE: a later migration, or somebody's view, that refers to one of these makes the rollback
--   stop and say so.

-- step: close the new tables to the application
REVOKE ALL ON
    currency_mapping, account, tax_rate, exchange_rate, invoice, invoice_item, payment, payment_allocation, journal_entry,
    journal_entry_line
    FROM authenticated, service_role;

-- step: lines of purchase orders lose their currency
DROP TRIGGER refuse_other_currency ON purchase_order_item;
DROP TRIGGER refuse_missing_currency ON purchase_order_item;
DROP TRIGGER fill_currency ON purchase_order_item;
ALTER TABLE purchase_order_item DROP COLUMN currency;

-- step: purchase orders lose their currency
DROP TRIGGER pass_currency_to_lines ON purchase_order;
DROP TRIGGER refuse_missing_currency ON purchase_order;
DROP TRIGGER fill_currency ON purchase_order;
ALTER TABLE purchase_order DROP COLUMN currency;

-- step: inventory items lose their currency
DROP TRIGGER refuse_missing_currency ON inventory_item;
DROP TRIGGER fill_currency ON inventory_item;
ALTER TABLE inventory_item DROP COLUMN currency;

-- step: customers lose their currency, and invoices no longer name them
DROP TRIGGER refuse_missing_currency ON customer;
DROP TRIGGER fill_currency ON customer;
DROP TRIGGER stay_in_organization_with_invoices ON customer;
ALTER TABLE customer DROP COLUMN currency;
ALTER TABLE payment DROP CONSTRAINT payment_customer_id_fkey;
ALTER TABLE invoice DROP CONSTRAINT invoice_customer_id_fkey;

-- step: quotes and orders ask the settings again
DROP FUNCTION organization_currency(uuid);
ALTER FUNCTION organization_currency_of_settings(uuid) RENAME TO organization_currency;
-- As it was, so that no session goes on with the plan that calls what is gone.
ALTER FUNCTION fill_currency() SET search_path = public, pg_temp;

-- step: lines of invoices no longer name products
ALTER TABLE invoice_item DROP CONSTRAINT invoice_item_product_id_fkey;

-- step: invoices no longer name orders
ALTER TABLE invoice DROP CONSTRAINT invoice_sales_order_id_fkey;

-- step: finance no longer names users
ALTER TABLE journal_entry DROP CONSTRAINT journal_entry_created_by_fkey;
ALTER TABLE journal_entry DROP CONSTRAINT journal_entry_posted_by_fkey;
ALTER TABLE payment DROP CONSTRAINT payment_processed_by_fkey;
ALTER TABLE invoice DROP CONSTRAINT invoice_created_by_fkey;

-- step: finance no longer belongs to organisations
DROP TRIGGER keep_organization_currency ON organization;
DROP TRIGGER give_default_accounts ON organization;
ALTER TABLE journal_entry DROP CONSTRAINT journal_entry_org_id_fkey;
ALTER TABLE payment_allocation DROP CONSTRAINT payment_allocation_org_id_fkey;
ALTER TABLE payment DROP CONSTRAINT payment_org_id_fkey;
ALTER TABLE invoice DROP CONSTRAINT invoice_org_id_fkey;
ALTER TABLE exchange_rate DROP CONSTRAINT exchange_rate_org_id_fkey;
ALTER TABLE tax_rate DROP CONSTRAINT tax_rate_org_id_fkey;
ALTER TABLE account DROP CONSTRAINT account_org_id_fkey;
ALTER TABLE organization_currency DROP CONSTRAINT organization_currency_org_id_fkey;

-- step: journal
DROP FUNCTION reverse_journal_entry(uuid, date, text);
DROP FUNCTION post_journal_entry(uuid);
DROP TABLE journal_entry_line;
DROP TABLE journal_entry;
DROP FUNCTION keep_journal_totals_when_emptied();
DROP FUNCTION keep_journal_totals();
DROP FUNCTION refuse_truncate_of_posted();
DROP FUNCTION verify_posted_entry();
DROP FUNCTION keep_journal_entry();

-- step: invoices and payments
DROP TABLE payment_allocation;
DROP TABLE payment;
DROP TABLE invoice_item;
DROP TABLE invoice;
DROP FUNCTION keep_allocated_amounts();
DROP FUNCTION settle_payment();
DROP FUNCTION keep_payment_amounts();
DROP FUNCTION keep_invoice_line_total();
DROP FUNCTION keep_invoice_amounts();

-- step: rates and accounts
DROP FUNCTION convert_amount(numeric, currency_code, currency_code, date, uuid);
DROP TABLE exchange_rate;
DROP TABLE tax_rate;
DROP FUNCTION create_default_accounts(uuid);
DROP FUNCTION default_accounts(uuid);
DROP TABLE account;
DROP FUNCTION give_default_accounts();
DROP FUNCTION refuse_change_of_used_account();
DROP FUNCTION fill_normal_balance();
DROP FUNCTION keep_account_in_tree();

-- step: currencies
DROP FUNCTION pass_currency_to_lines();
DROP FUNCTION refuse_other_currency();
DROP FUNCTION fill_currency_of_order();
DROP FUNCTION refuse_missing_currency();
DROP FUNCTION fill_currency_of_organization();
DROP FUNCTION round_money(numeric, currency_code);
DROP FUNCTION currency_minor_units(currency_code);
DROP FUNCTION decide_currency(text, currency_code, text);
DROP FUNCTION keep_organization_currency();
DROP FUNCTION currency_of_settings(jsonb);
DROP TABLE organization_currency;
DROP TABLE currency_mapping;
