-- step: every loan that came back has its fine
SELECT id
FROM loan
WHERE returned_on IS NOT NULL
  AND fine_cents IS DISTINCT FROM greatest(returned_on - due_on, 0) * 10
  AND lent_on < date '2026-01-01';
