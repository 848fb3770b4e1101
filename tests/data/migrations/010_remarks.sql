-- Migration 010: Remarks
-- requires: 002
-- phase: 2

-- step: table of remarks
CREATE TABLE customer_remark (words text NOT NULL);
