-- What policies may ask about a user besides the id: the role in the application. The e-mail address is with the platform.
SELECT coalesce(to_jsonb(profile) ->> 'role', '') AS role, coalesce(to_jsonb(profile) ->> 'email', '') AS email
FROM profile
WHERE profile.id::text = %(user)s
