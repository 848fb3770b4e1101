-- variant: older_tooling_b
-- kind: a schema_migrations of older tooling, with file and rollback
-- shape: extended
-- expect: passes

CREATE TABLE schema_migrations (
    id            varchar      PRIMARY KEY,
    name          varchar,
    filename      varchar,
    executed_at   timestamptz  DEFAULT now(),
    rollback_sql  text
);
INSERT INTO schema_migrations VALUES ('001', 'initial', '001.sql', '2024-06-03', 'DROP TABLE customer;'), ('003b', NULL, NULL, NULL, NULL);
