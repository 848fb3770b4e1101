-- The baseline's seven views, read by the columns that the application reads, on rows that were just made.
-- requires: a user with a profile

-- step: v_organization_overview
DO $$
DECLARE
    me    profile%ROWTYPE;
    seen  record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    SELECT org_id, name, slug, plan_type, currency, active_users, customers, suppliers, open_tickets, stock_value, purchase_amount
    INTO STRICT seen
    FROM v_organization_overview
    WHERE org_id = me.org_id;
    ASSERT seen.name = (SELECT name FROM organization WHERE id = me.org_id), 'v_organization_overview tells another name';
    ASSERT (
        SELECT active_users = (SELECT count(*) FROM profile WHERE org_id = me.org_id AND is_active)
            AND customers = (SELECT count(*) FROM customer WHERE org_id = me.org_id)
            AND currency = (SELECT coalesce(settings ->> 'currency', 'USD') FROM organization WHERE id = me.org_id)
        FROM v_organization_overview
        WHERE org_id = me.org_id
    ), 'v_organization_overview does not tell what is there';
END
$$;

-- step: v_user_profile
DO $$
DECLARE
    me    profile%ROWTYPE;
    seen  record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    SELECT user_id, org_id, organization_name, plan_type, role, display_name, avatar_url, last_seen_at, is_active,
           unread_notifications, open_tickets
    INTO STRICT seen
    FROM v_user_profile
    WHERE user_id = me.id;
    ASSERT seen.display_name = me.display_name AND seen.role = me.role, 'v_user_profile is not what the profile is';
END
$$;

-- step: v_supply_chain_overview
DO $$
DECLARE
    me    profile%ROWTYPE;
    made  uuid;
    seen  record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    INSERT INTO supplier (org_id, name) VALUES (me.org_id, 'Contract') RETURNING id INTO STRICT made;
    INSERT INTO inventory_item (org_id, sku, name, category, unit_price, quantity_on_hand, supplier_id)
    VALUES (me.org_id, 'contract-' || gen_random_uuid(), 'Contract', 'components', 2.50, 4, made);
    INSERT INTO purchase_order (org_id, supplier_id, po_number) VALUES (me.org_id, made, 'contract-' || gen_random_uuid());

    SELECT supplier_id, org_id, name, status, risk_score, lead_time_days, items, stock_value, orders, open_orders,
           ordered_amount, last_order_date
    INTO STRICT seen
    FROM v_supply_chain_overview
    WHERE supplier_id = made;
    ASSERT (seen.items, seen.stock_value, seen.orders, seen.open_orders) = (1, 10.00, 1, 1),
        'v_supply_chain_overview does not tell what a supplier supplies';
END
$$;

-- step: v_customer_ops_overview
DO $$
DECLARE
    me    profile%ROWTYPE;
    made  uuid;
    seen  record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    INSERT INTO customer (org_id, name) VALUES (me.org_id, 'Contract') RETURNING id INTO STRICT made;
    INSERT INTO support_ticket (org_id, customer_id, title, description) VALUES (me.org_id, made, 'Contract', 'Contract');
    INSERT INTO customer_interaction (org_id, customer_id, channel, type, content, sentiment, timestamp)
    VALUES (me.org_id, made, 'email', 'complaint', 'Contract', 'negative', '2025-08-01 12:00+00');

    SELECT customer_id, org_id, name, segment, status, lifetime_value, last_interaction_date, tickets, open_tickets,
           last_ticket_at, interactions, unhappy_interactions
    INTO STRICT seen
    FROM v_customer_ops_overview
    WHERE customer_id = made;
    ASSERT (seen.tickets, seen.open_tickets, seen.interactions, seen.unhappy_interactions) = (1, 1, 1, 1),
        'v_customer_ops_overview does not count tickets and interactions';
END
$$;

-- step: v_ai_workspace_stats
DO $$
DECLARE
    me    profile%ROWTYPE;
    seen  record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    INSERT INTO ai_conversation (org_id, user_id, title, model) VALUES (me.org_id, me.id, 'Contract', 'contract');

    SELECT org_id, name, conversations, messages, tokens_used, last_used_at, datasets, prompt_templates
    INTO STRICT seen
    FROM v_ai_workspace_stats
    WHERE org_id = me.org_id;
    ASSERT seen.last_used_at >= now() AND seen.conversations > 0, 'v_ai_workspace_stats does not tell of a new conversation';
END
$$;

-- step: v_recent_activity
DO $$
DECLARE
    me    profile%ROWTYPE;
    made  uuid;
    seen  record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    INSERT INTO customer (org_id, name) VALUES (me.org_id, 'Contract') RETURNING id INTO STRICT made;

    SELECT org_id, entity_type, entity_id, title, happened_at INTO STRICT seen FROM v_recent_activity WHERE entity_id = made;
    ASSERT (seen.entity_type, seen.title) = ('customer', 'Contract'), 'v_recent_activity does not tell of a new customer';
END
$$;

-- step: v_inventory_alerts
DO $$
DECLARE
    me    profile%ROWTYPE;
    made  uuid;
    seen  record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    INSERT INTO inventory_item (org_id, sku, name, category, reorder_point)
    VALUES (me.org_id, 'contract-' || gen_random_uuid(), 'Contract', 'components', 5)
    RETURNING id INTO STRICT made;

    SELECT item_id, org_id, sku, name, location, available, reorder_point, supplier_id, supplier_name, lead_time_days, alert
    INTO STRICT seen
    FROM v_inventory_alerts
    WHERE item_id = made;
    ASSERT (seen.available, seen.alert) = (0, 'out_of_stock'), 'v_inventory_alerts does not tell of an item without stock';
END
$$;
