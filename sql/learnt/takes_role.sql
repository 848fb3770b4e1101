-- Whether this session may act as that role.
-- reads: pg_roles
SELECT pg_has_role(oid, 'MEMBER') AS may
FROM pg_roles
WHERE rolname = %(role)s
