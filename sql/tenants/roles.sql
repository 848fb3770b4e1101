-- What the catalogue of one database does not tell of those who act in it: rights beyond policies, memberships, settings of
-- roles in this database or in all. One text.
SELECT md5(
    concat_ws(
        '; ',
        (
            SELECT string_agg(format('%s %s %s %s', rolname, rolsuper, rolbypassrls, rolinherit), ', ' ORDER BY rolname)
            FROM pg_roles
            WHERE rolname !~ '^pg_'
        ),
        (
            SELECT string_agg(format('%s in %s', member::regrole, roleid::regrole), ', ' ORDER BY member::regrole::text, roleid::regrole::text)
            FROM pg_auth_members
        ),
        (
            SELECT string_agg(format('%s: %s', nullif(setrole, 0)::regrole, setconfig), ', ' ORDER BY nullif(setrole, 0)::regrole::text, setdatabase)
            FROM pg_db_role_setting
            WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
        )
    )
) AS roles
