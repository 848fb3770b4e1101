-- The file each of the given relations has now; a rewrite makes another. One that was dropped has none.
SELECT oid::bigint AS oid, relfilenode::bigint AS file FROM pg_class WHERE oid::bigint = ANY (%(relations)s)
