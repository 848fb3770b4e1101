-- Triggers that fire under session_replication_role = replica too, and what puts each to rest and wakes it again.
SELECT
    format('ALTER TABLE ONLY %s DISABLE TRIGGER %I', tgrelid::regclass, tgname) AS rest,
    format(
        'ALTER TABLE ONLY %s ENABLE %s TRIGGER %I',
        tgrelid::regclass, CASE tgenabled WHEN 'A' THEN 'ALWAYS' ELSE 'REPLICA' END, tgname
    ) AS wake
FROM pg_trigger
WHERE tgenabled IN ('A', 'R')
  AND NOT tgisinternal
ORDER BY tgrelid, tgname
