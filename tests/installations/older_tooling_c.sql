-- variant: older_tooling_c
-- kind: a schema_migrations whose first columns are those of ours, and a migration_backups of the owner's
-- expect: passes

CREATE TABLE schema_migrations (
    version     varchar(255)  PRIMARY KEY,
    dirty       boolean       NOT NULL DEFAULT false,
    applied_at  timestamp     DEFAULT now()
);
INSERT INTO schema_migrations VALUES ('001', false, '2024-06-03'), ('20250211133700', true, '2025-02-11');
CREATE TABLE migration_backups (id serial PRIMARY KEY, path text, made_at timestamptz DEFAULT now());
INSERT INTO migration_backups (path) VALUES ('/var/backups/mantis-1.dump');
