-- Sequences outside the catalogue: a rolled-back nextval stays drawn.
-- reads: pg_sequences
SELECT schemaname AS schema, sequencename AS name
FROM pg_sequences
WHERE schemaname NOT LIKE 'pg\_%'
ORDER BY schema, name
