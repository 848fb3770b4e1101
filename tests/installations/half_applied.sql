-- variant: half_applied
-- kind: parts of the enhanced schema made by hand: an enum with fewer labels, tables with fewer columns and no RLS, an invalid index
-- expect: refused
-- names: half
-- reason: what is there would be taken for the real thing: the owner must move it out of the way, or drop it

CREATE TYPE currency_code AS ENUM ('USD', 'EUR', 'GBP');
CREATE TYPE lead_status AS ENUM ('new', 'contacted', 'won', 'lost');
CREATE TABLE lead (
    id          uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id      uuid         NOT NULL REFERENCES organization,
    first_name  text,
    last_name   text,
    status      lead_status  DEFAULT 'new'
);
INSERT INTO lead (org_id, first_name, last_name) SELECT id, 'Ada', 'L' FROM organization;
CREATE TABLE customer_contact (id serial PRIMARY KEY, customer_id uuid REFERENCES customer, email text);
CREATE TABLE api_key (id uuid PRIMARY KEY, org_id uuid, key_hash text);
ALTER TABLE purchase_order ADD COLUMN currency currency_code DEFAULT 'USD';
GRANT ALL ON lead, customer_contact, api_key TO authenticated;
