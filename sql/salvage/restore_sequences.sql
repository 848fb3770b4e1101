-- Sequences of the tables that came back go on after the highest value. The braces are filled in by backup/salvage.py.
DO $restore$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT attrelid::regclass AS tab, attname AS col, pg_get_serial_sequence(attrelid::regclass::text, attname) AS seq
        FROM pg_attribute
        WHERE attrelid = ANY ({tables}::regclass[])
            AND attnum > 0
            AND NOT attisdropped
            AND pg_get_serial_sequence(attrelid::regclass::text, attname) IS NOT NULL
    LOOP
        EXECUTE format(
            'SELECT setval(%L, greatest(max(%I), (SELECT last_value FROM %s))) FROM %s HAVING max(%I) IS NOT NULL',
            one.seq, one.col, one.seq, one.tab, one.col
        );
    END LOOP;
END
$restore$;
