-- What the comparison of pg_temp.amount_compared leaves out, by table and reason; no row: nothing.
-- returns: table_name; left_out: 'changed' or 'deleted' (the row, by the application) or 'currency not judged' (its amounts are
--   compared: the organisation named another currency meanwhile); rows; the keys of the first three
SELECT table_name, left_out, count(*) AS rows, (array_agg(id::text ORDER BY id))[:3] AS first
FROM (
    SELECT
        table_name,
        id,
        CASE WHEN fate <> 'compared' THEN fate WHEN NOT is_currency_judged THEN 'currency not judged' END AS left_out
    FROM pg_temp.amount_compared
) AS reasons
WHERE left_out IS NOT NULL
GROUP BY table_name, left_out
ORDER BY table_name, left_out
