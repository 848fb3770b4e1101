-- Migration 001: Ratings of customers
-- phase: 1
--
-- A small migration for tests, of each kind of step one: « été ».

-- step: table of ratings
CREATE TABLE customer_rating (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    customer_id uuid NOT NULL,
    stars integer NOT NULL CONSTRAINT customer_rating_stars CHECK (stars BETWEEN 1 AND 5)
);
COMMENT ON TABLE customer_rating IS 'what a step is: -- step: text';

-- step: ratings belong to customers
ALTER TABLE customer_rating
    ADD CONSTRAINT customer_rating_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customer (id) NOT VALID;

-- step: validate ratings of customers
ALTER TABLE customer_rating VALIDATE CONSTRAINT customer_rating_customer_id_fkey;

-- step: customers have a rating
ALTER TABLE customer ADD COLUMN rating integer;

-- step: rate every customer      batched over customer
UPDATE customer SET rating = 3 WHERE rating IS NULL AND id > $1 AND id <= $2;

-- step: index customers by rating
CREATE INDEX CONCURRENTLY customer_rating_idx ON customer (rating);
