-- check: users_without_profile
-- title: Rows of users who have no profile
-- severity: warn
-- phases: 0,1,2,3,4
-- expected: every user that a row names has a profile
-- action: give these users a profile, or hand their rows to somebody else: new tables refer to profile, not to the platform's users, so such a user can own nothing in them
-- reads: every table that names a user, once a column
-- each: counts
-- Which columns name a user: those that refer to the schema auth, and those without any foreign key that are called so.
SELECT
    format('%I.%I', child.relname, attname) AS object,
    format(
        'SELECT count(*), format(''%%s user(s) without a profile'', count(DISTINCT c.%1$I)) FROM %2$I.%3$I AS c'
        ' WHERE c.%1$I IS NOT NULL AND NOT EXISTS (SELECT FROM public.profile AS p WHERE p.id = c.%1$I)',
        attname,
        nspname,
        child.relname
    ) AS statement
FROM pg_attribute
JOIN pg_class AS child ON child.oid = attrelid
JOIN pg_namespace ON pg_namespace.oid = child.relnamespace
LEFT JOIN pg_constraint ON conrelid = attrelid AND contype = 'f' AND conkey = ARRAY[attnum]
LEFT JOIN pg_class AS parent ON parent.oid = confrelid
WHERE nspname = 'public'
  AND child.relkind IN ('r', 'p')
  AND NOT child.relispartition
  AND child.relname <> 'profile'
  AND attnum > 0
  AND NOT attisdropped
  AND atttypid = 'uuid'::regtype
  AND CASE
      WHEN pg_constraint.oid IS NULL
      THEN attname IN ('user_id', 'created_by', 'approved_by', 'assigned_to', 'shared_by', 'shared_with')
      ELSE parent.relnamespace = to_regnamespace('auth')
  END
ORDER BY child.relname, attname
