-- Migration 003: Debts of readers
-- phase: 2
--
-- What it is: the way back.

-- step: drop the view
DROP VIEW IF EXISTS public.reader_debt;

-- step: drop the type
DROP TYPE IF EXISTS public.severity;
