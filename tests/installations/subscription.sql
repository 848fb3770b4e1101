-- variant: subscription
-- kind: a subscription to another server, at rest
-- expect: passes

CREATE TABLE exchange_feed (currency text PRIMARY KEY, rate numeric, at timestamptz);
CREATE SUBSCRIPTION rates_feed
    CONNECTION 'host=/nonexistent port=6543 dbname=feeds'
    PUBLICATION rates
    WITH (connect = false, slot_name = NONE, enabled = false, create_slot = false);
