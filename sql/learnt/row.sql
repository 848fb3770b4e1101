LEFT JOIN LATERAL (
    SELECT {taken}
    FROM {table}
    ORDER BY {key}
    OFFSET :dice::bigint % greatest(1, (SELECT count(*) FROM (SELECT FROM {table} LIMIT {most}) AS first_rows))
    LIMIT 1
) AS {name} ON true
