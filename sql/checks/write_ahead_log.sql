-- check: write_ahead_log
-- title: What the write-ahead log is kept for
-- severity: info
-- phases: 0
-- expected: wal_level replica or logical, and archiving on, where the database is to be restored to a point in time
-- action: none is needed by the migration: its backups are dumps; ask whether this server is meant to have neither standby nor archive
-- reads: pg_settings
SELECT name AS object, 1::bigint AS found, format('%s = %s', name, setting) AS detail
FROM pg_settings
WHERE (name = 'wal_level' AND setting = 'minimal')
   OR (name = 'archive_mode' AND setting = 'off')
ORDER BY name
