-- The two smallest organisations that have an active user with a profile, and one such user each.
SELECT profile.org_id::text AS org_id, min(profile.id::text) AS user_id
FROM profile
WHERE profile.is_active
GROUP BY profile.org_id
ORDER BY (SELECT count(*) FROM customer WHERE customer.org_id = profile.org_id), profile.org_id
LIMIT 2
