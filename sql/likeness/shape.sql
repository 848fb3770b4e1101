-- Encoding and locale of this database. What a version does not have is empty; before 15 every locale is libc's, and the
-- column of a locale that is not libc's was renamed in 17.
SELECT
    pg_encoding_to_char((here ->> 'encoding')::integer)          AS encoding,
    coalesce(here ->> 'datlocprovider', 'c')                     AS provider,
    here ->> 'datcollate'                                        AS collate,
    here ->> 'datctype'                                          AS ctype,
    coalesce(here ->> 'datlocale', here ->> 'daticulocale', '')  AS locale,
    coalesce(here ->> 'daticurules', '')                         AS rules
FROM (SELECT to_jsonb(pg_database) FROM pg_database WHERE datname = current_database()) AS database (here)
