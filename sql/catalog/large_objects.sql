-- Large objects by owner and privileges; there may be millions, so they are told as a count and a sum over their numbers.
SELECT
    'of ' || m.lomowner::regrole || coalesce(
        ' for ' || (
            SELECT string_agg(
                CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END || ' ' || a.privilege_type
                || CASE WHEN a.is_grantable THEN '*' ELSE '' END,
                ', ' ORDER BY CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, a.privilege_type
            )
            FROM aclexplode(m.lomacl) AS a
        ),
        ''
    ) AS name,
    format('%%s objects, sum %%s', count(*), sum(hashint8extended(m.oid::bigint, 0))) AS definition
FROM pg_largeobject_metadata AS m
GROUP BY m.lomowner, m.lomacl
