-- Comments on what comments.sql does not cover: extensions, publications, servers, languages, operators and the like.
-- Not an extension's own comment: it comes with the extension, and stays with one that a rollback leaves.
SELECT
    i.type || ' ' || i.identity AS name,
    d.description AS definition
FROM pg_description AS d
CROSS JOIN pg_identify_object(d.classoid, d.objoid, d.objsubid) AS i
WHERE (d.objoid >= 16384 OR d.classoid = 'pg_largeobject'::regclass)
  AND (
      d.classoid IN (
          'pg_extension'::regclass, 'pg_publication'::regclass, 'pg_subscription'::regclass, 'pg_foreign_server'::regclass,
          'pg_foreign_data_wrapper'::regclass, 'pg_language'::regclass, 'pg_cast'::regclass, 'pg_transform'::regclass,
          'pg_am'::regclass, 'pg_largeobject'::regclass
      )
      OR i.schema = ANY (SELECT nspname FROM pg_namespace WHERE oid = ANY (%(schemas)s::oid[]))
      AND d.classoid IN (
          'pg_operator'::regclass, 'pg_opclass'::regclass, 'pg_opfamily'::regclass, 'pg_collation'::regclass,
          'pg_conversion'::regclass, 'pg_ts_config'::regclass, 'pg_ts_dict'::regclass, 'pg_ts_template'::regclass,
          'pg_ts_parser'::regclass
      )
  )
  AND NOT EXISTS (SELECT FROM pg_depend AS m WHERE m.classid = d.classoid AND m.objid = d.objoid AND m.deptype = 'e')
  AND NOT EXISTS (
      SELECT FROM pg_extension AS e JOIN pg_available_extensions AS known ON known.name = e.extname
      WHERE d.classoid = 'pg_extension'::regclass AND e.oid = d.objoid AND known.comment = d.description
  )
