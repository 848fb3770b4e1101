-- Functions that users, or nobody, may call: for each argument that has no default its type and, for other than ids, a value.
-- Text is the word that both tenants' rows hold, so that a search would find them.
SELECT
    p.oid::regprocedure::text AS name,
    p.proname::text AS function,
    coalesce(has_function_privilege(to_regrole('authenticated')::oid, p.oid, 'EXECUTE'), false) AS for_users,
    coalesce(has_function_privilege(to_regrole('anon')::oid, p.oid, 'EXECUTE'), false) AS for_nobody,
    ARRAY(
        SELECT format_type(type, NULL)
        FROM unnest(p.proargtypes) WITH ORDINALITY AS argument (type, number)
        WHERE number <= p.pronargs - p.pronargdefaults
        ORDER BY number
    ) AS types,
    ARRAY(
        SELECT CASE
            WHEN typtype = 'e' THEN (SELECT enumlabel FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder LIMIT 1)
            WHEN typcategory = 'S' THEN 'apart'
            WHEN typcategory = 'N' THEN '1'
            WHEN typcategory = 'B' THEN 'true'
            WHEN typcategory = 'D' THEN current_date::text
            WHEN typcategory = 'A' THEN '{}'
            WHEN typname IN ('json', 'jsonb') THEN '{}'
        END
        FROM unnest(p.proargtypes) WITH ORDINALITY AS argument (type, number)
        JOIN pg_type AS t ON t.oid = type
        WHERE number <= p.pronargs - p.pronargdefaults
        ORDER BY number
    ) AS samples
FROM pg_proc AS p
WHERE pronamespace = 'public'::regnamespace
  AND prokind = 'f'
  AND prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
  AND (coalesce(has_function_privilege(to_regrole('authenticated')::oid, p.oid, 'EXECUTE'), false) OR coalesce(has_function_privilege(to_regrole('anon')::oid, p.oid, 'EXECUTE'), false))
  AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e')
ORDER BY name
