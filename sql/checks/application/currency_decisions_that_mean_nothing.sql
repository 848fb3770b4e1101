-- check: currency_decisions_that_mean_nothing
-- title: Currency decisions that name no currency of the schema
-- severity: fail
-- phases: 3
-- expected: each decision's value is a label of currency_code, or a code of three capital letters that is added (its own key)
-- action: decide again (parameter currency_map) with a label, or add the currency by the parameter currency_add
-- reads: mantis_runbook.decision
SELECT
    key AS object,
    1::bigint AS found,
    format('decided as %L by %s', value, decided_by) AS detail
FROM mantis_runbook.decision
WHERE subject = 'currency'
  AND value NOT IN (
      SELECT enumlabel FROM pg_enum WHERE enumtypid = to_regtype('public.currency_code')
      UNION ALL
      SELECT key FROM mantis_runbook.decision WHERE subject = 'currency' AND value = key AND key ~ '^[A-Z]{3}$'
  )
ORDER BY key
