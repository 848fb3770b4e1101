-- Tables for the benchmark of gaps: accounts, what they purchased, and events in partitions.
-- requires: an empty database and a setting, mantis.rows: the rows of account, of purchase and of event_2026 each.

CREATE TABLE account (
    id         bigint        PRIMARY KEY,
    region     text          NOT NULL,
    name       text          NOT NULL,
    balance    numeric(12,2) NOT NULL DEFAULT 0
);

CREATE TABLE purchase (
    id         bigint        GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id bigint        NOT NULL,
    placed_at  timestamptz   NOT NULL DEFAULT now(),
    amount     numeric(12,2) NOT NULL
);

CREATE TABLE event (
    at         timestamptz   NOT NULL,
    account_id bigint        NOT NULL,
    what       text          NOT NULL
) PARTITION BY RANGE (at);

CREATE TABLE event_2025 PARTITION OF event FOR VALUES FROM ('2025-01-01 00:00+00') TO ('2026-01-01 00:00+00');
CREATE TABLE event_2026 (LIKE event);

INSERT INTO account (id, region, name)
SELECT n, (ARRAY['eu', 'us', 'za'])[1 + n % 3], 'account ' || n
FROM generate_series(1, current_setting('mantis.rows')::bigint) AS n;

INSERT INTO purchase (account_id, placed_at, amount)
SELECT 1 + (n * 7919) % current_setting('mantis.rows')::bigint, timestamptz '2025-01-01 00:00+00' + n * interval '1 minute', n % 1000
FROM generate_series(1, current_setting('mantis.rows')::bigint) AS n;

INSERT INTO event_2026
SELECT timestamptz '2026-01-01 00:00+00' + n * interval '30 seconds', n, 'seen'
FROM generate_series(1, current_setting('mantis.rows')::bigint) AS n;
