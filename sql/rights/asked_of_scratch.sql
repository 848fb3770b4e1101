-- What restoring a dump of this database asks of the role that restores it: roles it names, and what only a superuser makes.
-- requires: nothing; reads catalogues
-- kind: 'owner' (the role must be a member), 'named' (it must be there), 'extension', 'superuser'
WITH here AS (
    SELECT oid, nspowner AS owner, nspacl AS acl
    FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
),
object (owner, acl) AS (
    SELECT owner, acl FROM here WHERE owner <> (SELECT oid FROM pg_roles WHERE rolname = 'pg_database_owner')
    UNION ALL
    SELECT c.relowner, c.relacl FROM pg_class AS c JOIN here ON here.oid = c.relnamespace
    WHERE NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
    UNION ALL
    SELECT p.proowner, p.proacl FROM pg_proc AS p JOIN here ON here.oid = p.pronamespace
    WHERE NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e')
    UNION ALL
    SELECT t.typowner, t.typacl FROM pg_type AS t JOIN here ON here.oid = t.typnamespace
    WHERE t.typtype IN ('e', 'd', 'r')
      AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_type'::regclass AND objid = t.oid AND deptype = 'e')
    UNION ALL
    SELECT stxowner, NULL FROM pg_statistic_ext
    UNION ALL
    SELECT lomowner, lomacl FROM pg_largeobject_metadata
    UNION ALL
    SELECT srvowner, srvacl FROM pg_foreign_server
    UNION ALL
    SELECT defaclrole, defaclacl FROM pg_default_acl
),
role (kind, id) AS (
    SELECT 'owner', owner FROM object
    UNION
    SELECT 'named', grantee FROM object CROSS JOIN aclexplode(acl)
    UNION
    SELECT 'named', id FROM pg_policy CROSS JOIN unnest(polroles) AS id
),
asked (kind, name) AS (
    -- A role that was dropped while it stood in an ACL: pg_dump writes its number.
    SELECT kind, coalesce(rolname::text, id::text) FROM role LEFT JOIN pg_roles ON oid = id WHERE id <> 0
    UNION
    SELECT 'extension', extname::text FROM pg_extension WHERE extname <> 'plpgsql'
    UNION
    SELECT 'superuser', format('event trigger %I', evtname) FROM pg_event_trigger AS e
    WHERE NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_event_trigger'::regclass AND objid = e.oid AND deptype = 'e')
    UNION
    SELECT 'superuser', format('publication %I', pubname) FROM pg_publication WHERE puballtables
    UNION
    SELECT 'superuser', format('operator class %I', opcname) FROM pg_opclass JOIN here ON here.oid = opcnamespace
    WHERE NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_opclass'::regclass AND objid = pg_opclass.oid AND deptype = 'e')
    UNION
    SELECT 'superuser', format('operator family %I', opfname) FROM pg_opfamily JOIN here ON here.oid = opfnamespace
    WHERE NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_opfamily'::regclass AND objid = pg_opfamily.oid AND deptype = 'e')
    UNION
    SELECT 'superuser', format('language %I', lanname) FROM pg_language
    WHERE lanispl
      AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_language'::regclass AND objid = pg_language.oid AND deptype = 'e')
    UNION
    SELECT 'superuser', 'function ' || p.oid::regprocedure FROM pg_proc AS p JOIN here ON here.oid = p.pronamespace
    JOIN pg_language ON pg_language.oid = prolang AND NOT lanpltrusted AND lanname <> 'sql'
    WHERE NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e')
    UNION
    SELECT 'row security', 'forced' FROM pg_class JOIN here ON here.oid = relnamespace WHERE relforcerowsecurity
)
SELECT kind, name FROM asked ORDER BY kind, name
