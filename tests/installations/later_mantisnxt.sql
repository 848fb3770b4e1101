-- variant: later_mantisnxt
-- kind: a later MantisNXT: a hundred tables and more, with price_list, invoice_status and sales_order_status of its own
-- expect: refused
-- names: later
-- reason: the enhanced schema is there already, of the product's own making; this runbook has nothing to do

CREATE TYPE invoice_status AS ENUM ('draft', 'sent', 'paid', 'partially_paid', 'overdue', 'void');
CREATE TYPE sales_order_status AS ENUM ('draft', 'confirmed', 'shipped', 'invoiced', 'closed');
CREATE TABLE price_list (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), org_id uuid REFERENCES organization, name text, currency text);
CREATE TABLE sales_order (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), org_id uuid REFERENCES organization, status sales_order_status);
CREATE TABLE invoice (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), org_id uuid REFERENCES organization, status invoice_status);
CREATE TABLE product (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), org_id uuid REFERENCES organization, name text);

DO $$
BEGIN
    FOR n IN 1..75 LOOP
        EXECUTE format('CREATE TABLE %I (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), org_id uuid REFERENCES organization)', 'module_' || n);
    END LOOP;
END
$$;
