-- check: currencies_undecided
-- title: Currency codes in settings that nobody has decided
-- severity: fail
-- phases: 3
-- expected: every code is exactly a label of currency_code, or decided in mantis_runbook.decision
-- action: map the code to a currency of the schema (parameter currency_map), add it (currency_add), or correct organization.settings; nothing is guessed
-- reads: organization once
SELECT
    quote_literal(code) AS object,
    count(*)::bigint AS found,
    format('organisations %s', left(string_agg(id::text, ', ' ORDER BY id), 400)) AS detail
FROM public.organization
CROSS JOIN LATERAL (SELECT settings ->> 'currency' AS code) AS named
WHERE code IS NOT NULL
  AND NOT EXISTS (
      SELECT FROM pg_enum
      WHERE enumtypid = to_regtype('public.currency_code')
        AND enumlabel = code
  )
  AND NOT EXISTS (
      SELECT FROM mantis_runbook.decision AS d
      WHERE d.subject = 'currency' AND d.key = code
        AND d.value IN (
            SELECT enumlabel FROM pg_enum WHERE enumtypid = to_regtype('public.currency_code')
            UNION ALL
            SELECT key FROM mantis_runbook.decision WHERE subject = 'currency' AND value = key   -- to be added
        )
  )
GROUP BY code
ORDER BY code
