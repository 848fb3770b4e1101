-- Security labels of objects of this database.
SELECT
    l.provider || ' on ' || i.type || ' ' || i.identity AS name,
    l.label AS definition
FROM pg_seclabel AS l
CROSS JOIN pg_identify_object(l.classoid, l.objoid, l.objsubid) AS i
