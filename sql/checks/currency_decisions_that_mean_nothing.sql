-- check: currency_decisions_that_mean_nothing
-- title: Currency decisions that name no label of currency_code
-- severity: fail
-- phases: 3
-- expected: each decision's value is a label of currency_code
-- action: decide again with a label, or add the label first with ALTER TYPE currency_code ADD VALUE (it cannot be taken back, and the validation of 001 will name it)
-- reads: mantis_runbook.decision
SELECT
    key AS object,
    1::bigint AS found,
    format('decided as %L by %s', value, decided_by) AS detail
FROM mantis_runbook.decision
WHERE subject = 'currency'
  AND NOT EXISTS (SELECT FROM pg_enum WHERE enumtypid = to_regtype('public.currency_code') AND enumlabel = value)
ORDER BY key
