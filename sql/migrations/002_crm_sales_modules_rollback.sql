-- Migration 002: CRM and sales modules
-- phase: 2
-- requires: 001
--
-- What it is: the way back. The thirteen tables, document_number and the functions go, with all rows in them: salvage
-- them first. No existing table loses or gains a row; customers that convert_lead() made stay, and so do the audit_log
-- entries of the new tables.
--
-- What it locks: the application is shut out of the new tables first, so that nobody holds them up. Then five steps take
-- ACCESS EXCLUSIVE on one existing table each, and a sixth on supplier, for the moment it takes to unhang foreign keys
-- and triggers: a reader there waits for milliseconds. Dropping the tables then touches new tables alone.
--
-- It may follow a migration that was cut off after any of its steps: what is not there is passed over.
--
-- What an operator must know: nothing is dropped with CASCADE. A later migration, or somebody's view, that refers to one of
-- these tables makes the rollback stop and say so; roll back later phases first.

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
              'customer_contact', 'lead', 'opportunity', 'crm_activity', 'product', 'price_list', 'product_price',
              'sales_quote', 'sales_quote_item', 'sales_order', 'sales_order_item', 'supplier_performance',
              'quality_control', 'document_number'
          )
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM authenticated, service_role', listed);
    END LOOP;
END
$$;

-- step: foreign keys to supplier
ALTER TABLE IF EXISTS supplier_performance DROP CONSTRAINT IF EXISTS supplier_performance_supplier_id_fkey;

-- step: foreign keys to purchase_order
ALTER TABLE IF EXISTS quality_control DROP CONSTRAINT IF EXISTS quality_control_purchase_order_id_fkey;
DROP TRIGGER IF EXISTS stay_in_organization ON purchase_order;

-- step: foreign keys to inventory_item
ALTER TABLE IF EXISTS quality_control DROP CONSTRAINT IF EXISTS quality_control_inventory_item_id_fkey;
ALTER TABLE IF EXISTS product DROP CONSTRAINT IF EXISTS product_inventory_item_id_fkey;
DROP TRIGGER IF EXISTS stay_in_organization ON inventory_item;

-- step: foreign keys to customer
ALTER TABLE IF EXISTS sales_order DROP CONSTRAINT IF EXISTS sales_order_customer_id_fkey;
ALTER TABLE IF EXISTS sales_quote DROP CONSTRAINT IF EXISTS sales_quote_customer_id_fkey;
ALTER TABLE IF EXISTS crm_activity DROP CONSTRAINT IF EXISTS crm_activity_customer_id_fkey;
ALTER TABLE IF EXISTS opportunity DROP CONSTRAINT IF EXISTS opportunity_customer_id_fkey;
ALTER TABLE IF EXISTS lead DROP CONSTRAINT IF EXISTS lead_converted_to_customer_id_fkey;
ALTER TABLE IF EXISTS customer_contact DROP CONSTRAINT IF EXISTS customer_contact_customer_id_fkey;
DROP TRIGGER IF EXISTS stay_in_organization ON customer;

-- step: foreign keys to profile
ALTER TABLE IF EXISTS quality_control DROP CONSTRAINT IF EXISTS quality_control_inspector_id_fkey;
ALTER TABLE IF EXISTS supplier_performance DROP CONSTRAINT IF EXISTS supplier_performance_evaluator_id_fkey;
ALTER TABLE IF EXISTS sales_order
    DROP CONSTRAINT IF EXISTS sales_order_approved_by_fkey,
    DROP CONSTRAINT IF EXISTS sales_order_created_by_fkey;
ALTER TABLE IF EXISTS sales_quote
    DROP CONSTRAINT IF EXISTS sales_quote_approved_by_fkey,
    DROP CONSTRAINT IF EXISTS sales_quote_created_by_fkey;
ALTER TABLE IF EXISTS crm_activity
    DROP CONSTRAINT IF EXISTS crm_activity_created_by_fkey,
    DROP CONSTRAINT IF EXISTS crm_activity_assigned_to_fkey;
ALTER TABLE IF EXISTS opportunity DROP CONSTRAINT IF EXISTS opportunity_assigned_to_fkey;
ALTER TABLE IF EXISTS lead DROP CONSTRAINT IF EXISTS lead_assigned_to_fkey;

-- step: foreign keys to organization
ALTER TABLE IF EXISTS quality_control DROP CONSTRAINT IF EXISTS quality_control_org_id_fkey;
ALTER TABLE IF EXISTS sales_order DROP CONSTRAINT IF EXISTS sales_order_org_id_fkey;
ALTER TABLE IF EXISTS sales_quote DROP CONSTRAINT IF EXISTS sales_quote_org_id_fkey;
ALTER TABLE IF EXISTS price_list DROP CONSTRAINT IF EXISTS price_list_org_id_fkey;
ALTER TABLE IF EXISTS product DROP CONSTRAINT IF EXISTS product_org_id_fkey;
ALTER TABLE IF EXISTS crm_activity DROP CONSTRAINT IF EXISTS crm_activity_org_id_fkey;
ALTER TABLE IF EXISTS opportunity DROP CONSTRAINT IF EXISTS opportunity_org_id_fkey;
ALTER TABLE IF EXISTS lead DROP CONSTRAINT IF EXISTS lead_org_id_fkey;
ALTER TABLE IF EXISTS document_number DROP CONSTRAINT IF EXISTS document_number_org_id_fkey;

-- step: from lead to order
DROP FUNCTION IF EXISTS convert_quote_to_order(uuid);
DROP FUNCTION IF EXISTS accept_quote(uuid);
DROP FUNCTION IF EXISTS convert_lead(uuid, text, numeric, currency_code);

-- step: quality control
DROP TABLE IF EXISTS quality_control;

-- step: performance of suppliers
DROP TABLE IF EXISTS supplier_performance;

-- step: items of orders
DROP TABLE IF EXISTS sales_order_item;

-- step: orders
DROP TABLE IF EXISTS sales_order;

-- step: items of quotes
DROP TABLE IF EXISTS sales_quote_item;

-- step: quotes
DROP TABLE IF EXISTS sales_quote;

-- step: product prices
DROP TABLE IF EXISTS product_price;

-- step: price lists
DROP TABLE IF EXISTS price_list;

-- step: products
DROP TABLE IF EXISTS product;

-- step: activities
DROP TABLE IF EXISTS crm_activity;

-- step: opportunities
DROP TABLE IF EXISTS opportunity;

-- step: leads
DROP TABLE IF EXISTS lead;

-- step: customer contacts
DROP TABLE IF EXISTS customer_contact;

-- step: totals of quotes and orders
DROP FUNCTION IF EXISTS carry_totals_to_header();
DROP FUNCTION IF EXISTS keep_sales_totals();
DROP FUNCTION IF EXISTS keep_line_total();
DROP FUNCTION IF EXISTS round_money(numeric, currency_code);
DROP FUNCTION IF EXISTS currency_minor_units(currency_code);

-- step: document numbers
DROP TABLE IF EXISTS document_number;
DROP FUNCTION IF EXISTS assign_document_number();
DROP FUNCTION IF EXISTS next_document_number(uuid, text);
DROP FUNCTION IF EXISTS draw_numbers_one_by_one();

-- step: functions for triggers
DROP FUNCTION IF EXISTS refuse_second_conversion();
DROP FUNCTION IF EXISTS fill_currency();
DROP FUNCTION IF EXISTS organization_currency(uuid);
DROP FUNCTION IF EXISTS stay_in_organization();
DROP FUNCTION IF EXISTS must_be_of_same_organization();
