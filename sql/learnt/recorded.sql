-- What pg_stat_statements recorded, the most frequent first; the extension's schema stands for the braces.
-- Read as JSON, since an extension older than the server lacks columns (toplevel came with 1.9).
-- reads: pg_stat_statements
SELECT coalesce(queryid, 0) AS query_id,
       coalesce(query, '') AS text,
       calls,
       coalesce(rolname, '') AS role,
       dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AS is_here,
       coalesce((to_jsonb(recorded) ->> 'toplevel')::boolean, true) AS is_sent,
       coalesce(rolname IN (session_user, current_user), false) AS is_ours
FROM {}.pg_stat_statements AS recorded
LEFT JOIN pg_roles ON pg_roles.oid = userid
ORDER BY calls DESC, query_id, role
