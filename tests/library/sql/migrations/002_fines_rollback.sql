-- Migration 002: Fines
-- phase: 2
--
-- What it is: the way back. Fines that were entered since are salvaged first.

-- step: drop the constraint
ALTER TABLE public.loan DROP CONSTRAINT IF EXISTS loan_fine_is_no_gift;

-- step: drop the column
ALTER TABLE public.loan DROP COLUMN IF EXISTS fine_cents;
