-- check: idle_replication_slots
-- title: Replication slots that nobody reads
-- severity: warn
-- phases: all
-- expected: every slot in use
-- action: start its reader, or drop it with pg_drop_replication_slot(name): it keeps all WAL that the migration writes, and holds old rows back
-- reads: pg_replication_slots
SELECT
    format('slot %I', slot_name) AS object,
    coalesce(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END, restart_lsn), 0)::bigint AS found,
    format('%s slot, inactive, %s', slot_type, coalesce('WAL ' || wal_status, 'nothing kept yet')) AS detail
FROM pg_replication_slots
WHERE NOT active
ORDER BY slot_name
