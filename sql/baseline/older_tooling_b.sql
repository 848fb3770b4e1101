-- A schema_migrations as earlier tooling kept it, second shape: with the file, and how to undo it.
-- requires: a database without the table; loaded on request
-- Its history must not be lost, and its writer goes on inserting (id, name, filename, executed_at, rollback_sql).

CREATE TABLE schema_migrations (
    id            varchar      PRIMARY KEY,
    name          varchar,
    filename      varchar,
    executed_at   timestamptz  DEFAULT now(),
    rollback_sql  text
);

INSERT INTO schema_migrations (id, name, filename, executed_at, rollback_sql)
VALUES
    ('001', 'initial schema',     '001_initial_schema.sql',     '2024-06-03 08:12:44+00', NULL),
    ('002', 'row-level security', '002_row_level_security.sql', '2024-06-17 21:05:10+00', 'ALTER TABLE customer DISABLE ROW LEVEL SECURITY;'),
    ('003', 'partitions 2025',    '003_partitions_2025.sql',    '2024-12-20 22:30:00+00', 'DROP TABLE ai_message_2025_q1, ai_message_2025_q2;'),
    ('003b', NULL,                NULL,                         NULL,                     NULL);
