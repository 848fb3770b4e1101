-- variant: older_tooling_a
-- kind: a schema_migrations of older tooling, by name
-- expect: passes

CREATE TABLE schema_migrations (migration_name text PRIMARY KEY, executed_at timestamptz DEFAULT now());
INSERT INTO schema_migrations VALUES ('0001_initial', '2024-06-03'), ('0002_row_level_security', '2024-06-17');
