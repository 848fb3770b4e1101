-- One table's content as counts and sums, per organisation. Reads the table once; locks it as any SELECT does.
-- The braces are filled in by backup/fingerprint.py.
-- OFFSET 0: without it the text of each row would be made twice, once for each hash.
-- COLLATE "C": texts that some collation takes for equal are not the same text.
SELECT
    organisation::text,
    count(*),
    sum(hashtextextended(line, {first})),
    sum(hashtextextended(line, {second}))
FROM (
    SELECT {organisation} AS organisation, ROW({columns})::text COLLATE "C" AS line
    FROM {table} AS t
    {condition}
    OFFSET 0
) AS s
GROUP BY organisation
