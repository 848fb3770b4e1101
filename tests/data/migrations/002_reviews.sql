-- Migration 002: Reviews
-- requires: 001
-- phase: 2

-- step: table of reviews
CREATE TABLE customer_review (rating_id uuid NOT NULL, words text NOT NULL);
