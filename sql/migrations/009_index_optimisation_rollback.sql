-- Migration 009: Index optimisation
-- phase: 4
-- requires: 001
--
-- What it is: the way back: the indexes that 009 built, known by the end of their names, go, valid or not.
--
-- What it locks: SHARE UPDATE EXCLUSIVE on one table at a time; reading and writing go on. Each drop waits for transactions
-- that may still use the index.
--
-- What an operator must know: it runs from every state of a migration that was cut off.

-- step: indexes of foreign keys  for each row
SELECT format('DROP INDEX CONCURRENTLY IF EXISTS public.%I', relname)
FROM pg_class
WHERE relkind = 'i' AND relnamespace = 'public'::regnamespace AND relname LIKE '%\_idx\_009'
ORDER BY relname;
