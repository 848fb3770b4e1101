-- Is there a database, tablespace or subscription of that name? Each is made and dropped by one statement.
SELECT
    CASE %(kind)s
        WHEN 'database' THEN EXISTS (SELECT FROM pg_database WHERE datname = %(name)s)
        WHEN 'tablespace' THEN EXISTS (SELECT FROM pg_tablespace WHERE spcname = %(name)s)
        ELSE EXISTS (
            SELECT
            FROM pg_subscription
            WHERE subname = %(name)s
                AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
        )
    END AS is_there
