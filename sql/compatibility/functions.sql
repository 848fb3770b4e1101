-- The baseline's five functions of the application, called as it calls them, by position and by name.
-- requires: a user with a profile

-- step: get_widget_data
DO $$
DECLARE
    me     profile%ROWTYPE;
    board  uuid;
    tile   uuid;
    shown  jsonb;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    INSERT INTO dashboard (org_id, name, created_by) VALUES (me.org_id, 'Contract', me.id) RETURNING id INTO STRICT board;
    INSERT INTO widget (org_id, dashboard_id, name, type, data_source_config)
    VALUES (me.org_id, board, 'Contract', 'kpi_card', '{"source": "stock_by_category"}')
    RETURNING id INTO STRICT tile;

    shown := get_widget_data(tile);
    ASSERT shown ->> 'widget' = 'Contract' AND jsonb_typeof(shown -> 'figures') = 'object',
        'get_widget_data does not show the figures of a source';
    INSERT INTO widget_data_cache (widget_id, data_hash, cached_data, expires_at)
    VALUES (tile, 'contract', '{"cached": 1}', now() + interval '1 hour');
    ASSERT get_widget_data(target_widget => tile) = '{"cached": 1}', 'get_widget_data does not show what is cached';
    ASSERT get_widget_data(gen_random_uuid()) IS NULL, 'get_widget_data knows a widget that is not there';
END
$$;

-- step: global_search
DO $$
DECLARE
    me    profile%ROWTYPE;
    word  text := 'contract' || replace(gen_random_uuid()::text, '-', '');
    seen  record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    INSERT INTO customer (org_id, name, email) VALUES (me.org_id, 'Contract ' || word, 'contract@example.org');

    SELECT entity_type, entity_id, title, detail, rank INTO STRICT seen FROM global_search(me.org_id, word);
    ASSERT (seen.entity_type, seen.detail) = ('customer', 'contract@example.org'), 'global_search does not find a customer';
    ASSERT (SELECT count(*) FROM global_search(me.org_id, word, max_results => 0)) = 0, 'global_search ignores max_results';
END
$$;

-- step: get_org_metrics
-- Counted is what was created in this very transaction, for others come and go.
DO $$
DECLARE
    me  profile%ROWTYPE;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    INSERT INTO customer (org_id, name, lifetime_value) VALUES (me.org_id, 'Contract', 12.50);

    ASSERT (
        SELECT array_agg(value ORDER BY metric) = '{1,12.50}'
        FROM get_org_metrics(me.org_id, since => now(), until => now() + interval '1 microsecond')
        WHERE metric IN ('customers', 'lifetime_value')
    ), 'get_org_metrics does not count a new customer';
    ASSERT (SELECT count(*) FROM get_org_metrics(me.org_id)) = 10, 'get_org_metrics does not have its ten figures';
END
$$;

-- step: bulk_update_tickets
DO $$
DECLARE
    me      profile%ROWTYPE;
    client  uuid;
    asked   uuid;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    INSERT INTO customer (org_id, name) VALUES (me.org_id, 'Contract') RETURNING id INTO STRICT client;
    INSERT INTO support_ticket (org_id, customer_id, title, description)
    VALUES (me.org_id, client, 'Contract', 'Contract')
    RETURNING id INTO STRICT asked;

    ASSERT bulk_update_tickets(ARRAY[asked, gen_random_uuid()], 'closed') = 1, 'bulk_update_tickets did not change one ticket';
    ASSERT (SELECT status = 'closed' AND closed_at IS NOT NULL FROM support_ticket WHERE id = asked),
        'bulk_update_tickets did not close the ticket';
    PERFORM bulk_update_tickets(ticket_ids => ARRAY[asked], new_priority => 'high', new_assignee => me.id);
    ASSERT (SELECT priority = 'high' AND assigned_to = me.id FROM support_ticket WHERE id = asked),
        'bulk_update_tickets did not change priority and assignee';
END
$$;

-- step: get_reorder_suggestions
DO $$
DECLARE
    me    profile%ROWTYPE;
    made  uuid;
    seen  record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    INSERT INTO inventory_item (org_id, sku, name, category, unit_price, reorder_point)
    VALUES (me.org_id, 'contract-' || gen_random_uuid(), 'Contract', 'components', 2.50, 5)
    RETURNING id INTO STRICT made;

    SELECT item_id, sku, item_name, available, reorder_point, on_order, suggested_quantity, estimated_cost, supplier_id,
           supplier_name, lead_time_days
    INTO STRICT seen
    FROM get_reorder_suggestions(me.org_id)
    WHERE item_id = made;
    ASSERT (seen.suggested_quantity, seen.estimated_cost) = (10, 25.00), 'get_reorder_suggestions does not suggest ten';
END
$$;
