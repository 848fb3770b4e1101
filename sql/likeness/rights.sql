-- What roles other than its owner may do in this database: role (empty for PUBLIC), privilege, whether they may grant it.
SELECT
    coalesce(rolname::text, '')  AS role,
    privilege_type               AS privilege,
    is_grantable
FROM pg_database
CROSS JOIN aclexplode(coalesce(datacl, acldefault('d', datdba)))
LEFT JOIN pg_roles ON pg_roles.oid = grantee
WHERE datname = current_database()
  AND grantee <> datdba
  AND (grantee = 0 OR rolname IS NOT NULL)
