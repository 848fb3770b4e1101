-- The same where users have their organisation from auth.users_extended: by that table, not by the profile.
SELECT u.org_id::text AS org_id, min(u.id::text) AS user_id
FROM auth.users_extended AS u
JOIN profile ON profile.id = u.id
WHERE profile.is_active AND u.org_id IS NOT NULL
GROUP BY u.org_id
ORDER BY (SELECT count(*) FROM customer WHERE customer.org_id::text = u.org_id::text), u.org_id
LIMIT 2
