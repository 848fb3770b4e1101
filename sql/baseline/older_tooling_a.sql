-- A schema_migrations as earlier tooling kept it, first shape: one name a migration.
-- requires: a database without the table; loaded on request
-- Its history must not be lost, and its writer goes on inserting (migration_name, executed_at).

CREATE TABLE schema_migrations (
    migration_name  text         PRIMARY KEY,
    executed_at     timestamptz  DEFAULT now()
);

INSERT INTO schema_migrations (migration_name, executed_at)
VALUES
    ('0001_initial_schema',         '2024-06-03 08:12:44+00'),
    ('0002_row_level_security',     '2024-06-17 21:05:10+00'),
    ('0003_partitions_2024_q4',     '2024-09-28 22:30:00+00'),
    ('0004_partitions_2025',        '2024-12-20 22:30:00+00'),
    ('0005_oauth (hotfix, by hand)', '2025-02-11 13:37:00+00');
