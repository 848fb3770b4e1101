-- pgbench scenario: a user of some organisation looks after customers.
-- Statements of the application before phase 1, on baseline tables alone: they must run unchanged before, during and after
-- every phase. What it inserts it deletes again; the rows of others it writes with the values they have.
-- Interactions are dated into the oldest partition that begins at a date, whichever an installation has.
-- Ids are carried from statement to statement in settings named load.*: \gset's variables would need quotes in -M simple and
-- must not have any in -M prepared.

\set dice random(0, 4294967295)
SELECT set_config('load.user_id', coalesce(
    (
        SELECT id
        FROM profile
        WHERE id >= (lpad(to_hex(:dice::bigint), 8, '0') || '-0000-0000-0000-000000000000')::uuid
        ORDER BY id
        LIMIT 1
    ),
    (SELECT id FROM profile ORDER BY id LIMIT 1),
    '00000000-0000-0000-0000-000000000000'
)::text, false);
SELECT set_config('load.org_id', coalesce(
    (SELECT org_id FROM profile WHERE id = current_setting('load.user_id')::uuid),
    '00000000-0000-0000-0000-000000000000'
)::text, false);
SELECT set_config('drawn.partition_begins', coalesce(
    (
        SELECT min(substring(pg_get_expr(relpartbound, pg_class.oid) FROM 'FROM \(''(\d{4}-\d\d-\d\d[^'']*)''\)'))
        FROM pg_inherits
        JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = to_regclass('customer_interaction')
    ),
    '2025-07-01 00:00+00'
), false);

-- Read: the list, one customer with what happened to it
BEGIN;
SET LOCAL ROLE authenticated;
SELECT set_config('request.jwt.claim.sub', current_setting('load.user_id'), true),
       set_config('app.current_user_id', current_setting('load.user_id'), true);
SELECT id, name, email, company, segment, status, lifetime_value, last_interaction_date
FROM customer
WHERE org_id = current_setting('load.org_id')::uuid
ORDER BY created_at DESC
LIMIT 20;
SELECT set_config('load.known_customer', coalesce(
    (
        SELECT id
        FROM customer
        WHERE org_id = current_setting('load.org_id')::uuid
        ORDER BY created_at DESC
        OFFSET :dice::bigint % 10
        LIMIT 1
    ),
    '00000000-0000-0000-0000-000000000000'
)::text, false);
SELECT id, channel, type, subject, sentiment, timestamp
FROM customer_interaction
WHERE customer_id = current_setting('load.known_customer')::uuid
ORDER BY timestamp DESC
LIMIT 10;
SELECT id, ticket_number, title, priority, status
FROM support_ticket
WHERE customer_id = current_setting('load.known_customer')::uuid
ORDER BY created_at DESC
LIMIT 10;
COMMIT;

-- Create
BEGIN;
SET LOCAL ROLE authenticated;
SELECT set_config('request.jwt.claim.sub', current_setting('load.user_id'), true),
       set_config('app.current_user_id', current_setting('load.user_id'), true);
WITH created AS (
    INSERT INTO customer (org_id, name, email, phone, company, segment, acquisition_date, address, tags)
    SELECT org_id, 'Load ' || :dice, 'load.' || :dice || '@example.com', '+49 30 ' || :dice, 'Load & Soehne', 'smb',
        date '2025-01-15', '{"city": "Berlin"}', ARRAY['load']
    FROM profile
    WHERE id = current_setting('load.user_id')::uuid
    RETURNING id
)
SELECT set_config('load.customer_id', coalesce(
    (SELECT id FROM created),
    '00000000-0000-0000-0000-000000000000'
)::text, false);
COMMIT;

-- Update: an interaction, a ticket with an answer, the customer itself, and one of the old ones
BEGIN;
SET LOCAL ROLE authenticated;
SELECT set_config('request.jwt.claim.sub', current_setting('load.user_id'), true),
       set_config('app.current_user_id', current_setting('load.user_id'), true);
INSERT INTO customer_interaction (org_id, customer_id, user_id, channel, type, subject, content, sentiment, duration_minutes, timestamp)
SELECT org_id, id, current_setting('load.user_id')::uuid, 'phone', 'inquiry', 'Load', 'Asked for a price', 'positive', 5,
    current_setting('drawn.partition_begins')::timestamptz + (:dice::bigint % 2000000) * interval '1 second'
FROM customer
WHERE id = current_setting('load.customer_id')::uuid;
INSERT INTO support_ticket (org_id, customer_id, ticket_number, title, description, priority)
SELECT org_id, id, '', 'Load', 'Something does not work', 'high'
FROM customer
WHERE id = current_setting('load.customer_id')::uuid;
INSERT INTO ticket_comment (ticket_id, user_id, content)
SELECT id, current_setting('load.user_id')::uuid, 'We look into it'
FROM support_ticket
WHERE customer_id = current_setting('load.customer_id')::uuid;
SELECT bulk_update_tickets(
    ARRAY(SELECT id FROM support_ticket WHERE customer_id = current_setting('load.customer_id')::uuid),
    new_status => 'in_progress',
    new_assignee => current_setting('load.user_id')::uuid
);
UPDATE customer SET status = 'active', lifetime_value = lifetime_value + 100, metadata = '{"load": true}'
WHERE id = current_setting('load.customer_id')::uuid;
UPDATE customer SET lifetime_value = lifetime_value WHERE id = current_setting('load.known_customer')::uuid;
COMMIT;

-- Delete: interactions, tickets and comments go with the customer
BEGIN;
SET LOCAL ROLE authenticated;
SELECT set_config('request.jwt.claim.sub', current_setting('load.user_id'), true),
       set_config('app.current_user_id', current_setting('load.user_id'), true);
SELECT * FROM v_customer_ops_overview WHERE customer_id = current_setting('load.customer_id')::uuid;
DELETE FROM customer WHERE id = current_setting('load.customer_id')::uuid;
COMMIT;
