-- Canaries that were acknowledged and are not there. The acknowledged ones are given as ranges of numbers. Reads only.
SELECT number
FROM unnest(%(first)s::bigint[], %(last)s::bigint[]) AS acknowledged (first, last)
CROSS JOIN LATERAL generate_series(first, last) AS number
WHERE NOT EXISTS (SELECT FROM mantis_runbook.canary WHERE canary.probe = %(probe)s AND canary.number = number.number)
ORDER BY number
