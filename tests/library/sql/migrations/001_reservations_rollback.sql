-- Migration 001: Reservations
-- phase: 1
--
-- What it is: the way back, from every state in which 001 may have been cut off.

-- step: drop the index
DROP INDEX CONCURRENTLY IF EXISTS public.loan_open_idx;

-- step: drop the table
DROP TABLE IF EXISTS public.reservation;
