-- Parts of the enhanced schema that earlier tooling left behind, unfinished.
-- requires: 01 to 08; loaded on request
-- CREATE … IF NOT EXISTS would take each of them for the real thing.

-- Seven of ten currencies are missing.
CREATE TYPE currency_code AS ENUM (
    'USD',
    'EUR',
    'GBP'
);

-- Most columns are missing, and there is no row-level security.
CREATE TABLE oauth_provider (
    id          uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    name        text         NOT NULL,
    client_id   text         NOT NULL,
    created_at  timestamptz  DEFAULT now()
);

INSERT INTO oauth_provider (id, name, client_id, created_at)
VALUES
    ('5f0c9c0e-7d0a-4f5b-9d0e-000000000001', 'google',    'mantis-google-client',    '2025-02-11 13:37:00+00'),
    ('5f0c9c0e-7d0a-4f5b-9d0e-000000000002', 'microsoft', 'mantis-microsoft-client', '2025-02-11 13:37:00+00');
