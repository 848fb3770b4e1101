-- The strategy's two tracking tables, exactly as it names them. Locks nothing that exists.
CREATE TABLE schema_migrations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    version text NOT NULL UNIQUE,
    description text NOT NULL,
    applied_at timestamptz DEFAULT now(),
    rollback_sql text,
    checksum text,
    status text DEFAULT 'pending'
        CHECK (status IN ('pending', 'running', 'completed', 'failed', 'rolled_back'))
);

COMMENT ON TABLE schema_migrations IS 'Mantis Runbook: one row a migration, its state and the checksum of the files that were applied.';
COMMENT ON COLUMN schema_migrations.version IS 'The number of the migration file, such as 001.';
COMMENT ON COLUMN schema_migrations.description IS 'not personal: title of the migration, from the header of its file.';
COMMENT ON COLUMN schema_migrations.applied_at IS 'When the row last became completed; until then, when it was first written.';
COMMENT ON COLUMN schema_migrations.rollback_sql IS 'The rollback as it was when the migration was applied.';
COMMENT ON COLUMN schema_migrations.checksum IS 'SHA-256 over the migration, its rollback and its validation.';
COMMENT ON COLUMN schema_migrations.status IS 'pending, running, completed, failed or rolled_back; written in a transaction of its own.';

CREATE TABLE migration_backups (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    phase text NOT NULL,
    backup_location text NOT NULL,
    backup_size_bytes bigint NOT NULL,
    checksum text NOT NULL,
    created_at timestamptz DEFAULT now(),
    verified_at timestamptz,
    is_valid boolean
);

COMMENT ON TABLE migration_backups IS 'Mantis Runbook: one row a backup file.';
COMMENT ON COLUMN migration_backups.phase IS 'Phase before which the backup was taken.';
COMMENT ON COLUMN migration_backups.backup_location IS 'not personal: file, on the machine the runbook ran on.';
COMMENT ON COLUMN migration_backups.backup_size_bytes IS 'Size of the file in bytes.';
COMMENT ON COLUMN migration_backups.checksum IS 'SHA-256 of the file.';
COMMENT ON COLUMN migration_backups.verified_at IS 'When the proof ended: restored and compared with the snapshot it was dumped from.';
COMMENT ON COLUMN migration_backups.is_valid IS 'The result of the proof; NULL means not proven.';
