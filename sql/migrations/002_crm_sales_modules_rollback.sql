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
-- What an operator must know: nothing is dropped with CASCADE. A later migration, or somebody's view, that refers to one of
-- these tables makes the rollback stop and say so; roll back later phases first.

-- step: close the new tables to the application
REVOKE ALL ON
    customer_contact, lead, opportunity, crm_activity, product, price_list, product_price, sales_quote, sales_quote_item,
    sales_order, sales_order_item, supplier_performance, quality_control, document_number
    FROM authenticated, service_role;

-- step: foreign keys to supplier
ALTER TABLE supplier_performance DROP CONSTRAINT supplier_performance_supplier_id_fkey;

-- step: foreign keys to purchase_order
ALTER TABLE quality_control DROP CONSTRAINT quality_control_purchase_order_id_fkey;
DROP TRIGGER stay_in_organization ON purchase_order;

-- step: foreign keys to inventory_item
ALTER TABLE quality_control DROP CONSTRAINT quality_control_inventory_item_id_fkey;
ALTER TABLE product DROP CONSTRAINT product_inventory_item_id_fkey;
DROP TRIGGER stay_in_organization ON inventory_item;

-- step: foreign keys to customer
ALTER TABLE sales_order DROP CONSTRAINT sales_order_customer_id_fkey;
ALTER TABLE sales_quote DROP CONSTRAINT sales_quote_customer_id_fkey;
ALTER TABLE crm_activity DROP CONSTRAINT crm_activity_customer_id_fkey;
ALTER TABLE opportunity DROP CONSTRAINT opportunity_customer_id_fkey;
ALTER TABLE lead DROP CONSTRAINT lead_converted_to_customer_id_fkey;
ALTER TABLE customer_contact DROP CONSTRAINT customer_contact_customer_id_fkey;
DROP TRIGGER stay_in_organization ON customer;

-- step: foreign keys to profile
ALTER TABLE quality_control DROP CONSTRAINT quality_control_inspector_id_fkey;
ALTER TABLE supplier_performance DROP CONSTRAINT supplier_performance_evaluator_id_fkey;
ALTER TABLE sales_order
    DROP CONSTRAINT sales_order_approved_by_fkey,
    DROP CONSTRAINT sales_order_created_by_fkey;
ALTER TABLE sales_quote
    DROP CONSTRAINT sales_quote_approved_by_fkey,
    DROP CONSTRAINT sales_quote_created_by_fkey;
ALTER TABLE crm_activity
    DROP CONSTRAINT crm_activity_created_by_fkey,
    DROP CONSTRAINT crm_activity_assigned_to_fkey;
ALTER TABLE opportunity DROP CONSTRAINT opportunity_assigned_to_fkey;
ALTER TABLE lead DROP CONSTRAINT lead_assigned_to_fkey;

-- step: foreign keys to organization
ALTER TABLE quality_control DROP CONSTRAINT quality_control_org_id_fkey;
ALTER TABLE sales_order DROP CONSTRAINT sales_order_org_id_fkey;
ALTER TABLE sales_quote DROP CONSTRAINT sales_quote_org_id_fkey;
ALTER TABLE price_list DROP CONSTRAINT price_list_org_id_fkey;
ALTER TABLE product DROP CONSTRAINT product_org_id_fkey;
ALTER TABLE crm_activity DROP CONSTRAINT crm_activity_org_id_fkey;
ALTER TABLE opportunity DROP CONSTRAINT opportunity_org_id_fkey;
ALTER TABLE lead DROP CONSTRAINT lead_org_id_fkey;
ALTER TABLE document_number DROP CONSTRAINT document_number_org_id_fkey;

-- step: from lead to order
DROP FUNCTION convert_quote_to_order(uuid);
DROP FUNCTION accept_quote(uuid);
DROP FUNCTION convert_lead(uuid, text, numeric, currency_code);

-- step: quality control
DROP TABLE quality_control;

-- step: performance of suppliers
DROP TABLE supplier_performance;

-- step: items of orders
DROP TABLE sales_order_item;

-- step: orders
DROP TABLE sales_order;

-- step: items of quotes
DROP TABLE sales_quote_item;

-- step: quotes
DROP TABLE sales_quote;

-- step: product prices
DROP TABLE product_price;

-- step: price lists
DROP TABLE price_list;

-- step: products
DROP TABLE product;

-- step: activities
DROP TABLE crm_activity;

-- step: opportunities
DROP TABLE opportunity;

-- step: leads
DROP TABLE lead;

-- step: customer contacts
DROP TABLE customer_contact;

-- step: totals of quotes and orders
DROP FUNCTION carry_totals_to_header();
DROP FUNCTION keep_sales_totals();
DROP FUNCTION keep_line_total();

-- step: document numbers
DROP TABLE document_number;
DROP FUNCTION assign_document_number();
DROP FUNCTION next_document_number(uuid, text);
DROP FUNCTION draw_numbers_one_by_one();

-- step: functions for triggers
DROP FUNCTION refuse_second_conversion();
DROP FUNCTION fill_currency();
DROP FUNCTION organization_currency(uuid);
DROP FUNCTION stay_in_organization();
DROP FUNCTION must_be_of_same_organization();
