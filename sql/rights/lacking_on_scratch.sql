-- Of what a restore asks (rows of asked_of_scratch.sql, as JSON in %(asked)s), what our role lacks on this server.
-- requires: nothing; reads catalogues. One row for each kind of lack: what it is, and what mends it.
WITH ours AS (
    SELECT rolname, rolsuper, rolcreatedb, rolbypassrls FROM pg_roles WHERE rolname = current_user
),
asked AS (
    SELECT kind, CASE WHEN kind IN ('owner', 'named') THEN quote_ident(name) ELSE name END AS name, pg_roles.oid AS role
    FROM jsonb_to_recordset(%(asked)s::jsonb) AS given (kind text, name text)
    LEFT JOIN pg_roles ON rolname = name
),
owner AS (
    SELECT asked.name, pg_roles.rolsuper AS is_super
    FROM asked
    JOIN pg_roles ON pg_roles.oid = role
    WHERE kind = 'owner'
      AND NOT (
          pg_has_role(role, 'USAGE')
          AND CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN pg_has_role(role, 'SET') ELSE true END
      )
),
lacking (place, object, detail) AS (
    SELECT 1, 'CREATEDB', format('for the scratch database: ALTER ROLE %%I CREATEDB', rolname)
    FROM ours
    WHERE NOT rolcreatedb AND NOT rolsuper

    UNION ALL
    SELECT 2, 'roles that are not there', names || ': create them (psql --file globals.sql of a backup, or of pg_dumpall --globals-only)'
    FROM (SELECT string_agg(DISTINCT name, ', ' ORDER BY name) AS names FROM asked WHERE kind IN ('owner', 'named') AND role IS NULL) AS missing
    WHERE names IS NOT NULL

    UNION ALL
    SELECT 3, 'owners of what is restored', format('GRANT %%s TO %%I', names, rolname)
    FROM (SELECT string_agg(name, ', ' ORDER BY name) AS names FROM owner WHERE NOT is_super) AS others
    CROSS JOIN ours
    WHERE names IS NOT NULL

    UNION ALL
    SELECT 4, 'objects of a superuser',
        format('%%s owns some of what is restored: sql/roles/migration_role.sql makes %%I its owner; or restore as a superuser on another server (--scratch)', names, rolname)
    FROM (SELECT string_agg(name, ', ' ORDER BY name) AS names FROM owner WHERE is_super) AS others
    CROSS JOIN ours
    WHERE names IS NOT NULL AND NOT rolsuper

    UNION ALL
    SELECT 5, 'BYPASSRLS', format('tables of this database FORCE ROW LEVEL SECURITY: ALTER ROLE %%I BYPASSRLS', rolname)
    FROM asked
    CROSS JOIN ours
    WHERE kind = 'row security' AND NOT rolsuper AND NOT rolbypassrls

    UNION ALL
    SELECT 6, 'what only a superuser can make', names || ': restore as a superuser on another server (--scratch)'
    FROM (
        SELECT string_agg(CASE kind WHEN 'extension' THEN 'extension ' ELSE '' END || name, ', ' ORDER BY kind, name) AS names
        FROM asked
        WHERE kind = 'superuser'
           OR kind = 'extension'
          AND NOT EXISTS (
              SELECT FROM pg_available_extension_versions AS offered
              WHERE offered.name = asked.name AND (trusted OR NOT superuser)
          )
    ) AS made
    CROSS JOIN ours
    WHERE names IS NOT NULL AND NOT rolsuper
)
SELECT object, detail FROM lacking ORDER BY place
