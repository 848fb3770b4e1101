-- Is the table a partition of the other, and is its detachment half done (DETACH PARTITION CONCURRENTLY, cut off)?
SELECT inhdetachpending AS is_pending
FROM pg_inherits
WHERE inhrelid = to_regclass(%(partition)s) AND inhparent = to_regclass(%(parent)s)
