-- Domains, composite types, ranges and base types.
SELECT
    t.oid::regtype::text AS name,
    concat_ws('; ',
        CASE t.typtype
            WHEN 'd' THEN concat_ws(' ',
                'domain over ' || format_type(t.typbasetype, t.typtypmod),
                CASE WHEN t.typcollation <> base.typcollation THEN 'COLLATE ' || t.typcollation::regcollation END,
                CASE WHEN t.typnotnull THEN 'NOT NULL' END,
                'DEFAULT ' || t.typdefault,
                (
                    SELECT string_agg('CONSTRAINT ' || quote_ident(k.conname) || ' ' || pg_get_constraintdef(k.oid), ' ' ORDER BY k.conname)
                    FROM pg_constraint AS k
                    WHERE k.contypid = t.oid AND k.contype = 'c'
                )
            )
            WHEN 'c' THEN 'composite (' || coalesce((
                SELECT string_agg(
                    concat_ws(' ',
                        quote_ident(a.attname),
                        format_type(a.atttypid, a.atttypmod),
                        CASE WHEN a.attcollation <> own.typcollation THEN 'COLLATE ' || a.attcollation::regcollation END
                    ),
                    ', ' ORDER BY a.attnum
                )
                FROM pg_attribute AS a
                JOIN pg_type AS own ON own.oid = a.atttypid
                WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
            ), '') || ')'
            WHEN 'r' THEN concat_ws(' ',
                'range over ' || format_type(r.rngsubtype, NULL),
                'multirange ' || r.rngmultitypid::regtype,
                'collation ' || nullif(r.rngcollation, 0)::regcollation,
                (
                    SELECT format('operator class %%I.%%I', n.nspname, o.opcname)
                    FROM pg_opclass AS o JOIN pg_namespace AS n ON n.oid = o.opcnamespace
                    WHERE o.oid = r.rngsubopc AND NOT o.opcdefault
                ),
                'canonical ' || nullif(r.rngcanonical::oid, 0)::regprocedure,
                'difference ' || nullif(r.rngsubdiff::oid, 0)::regprocedure
            )
            ELSE 'base type'
        END,
        'owner ' || t.typowner::regrole
    ) AS definition
FROM pg_type AS t
LEFT JOIN pg_type AS base ON base.oid = t.typbasetype
LEFT JOIN pg_range AS r ON r.rngtypid = t.oid
WHERE t.oid = ANY (%(types)s::oid[]) AND t.typtype <> 'e'
