-- Baseline 08: the seven views.
-- requires: 03_tables.sql, 07_policies.sql
-- They read as their caller (security_invoker), so that row-level security holds inside them; PostgreSQL 14 has no such
-- views, and there only service_role, which sees everything anyway, may read them.

CREATE VIEW v_organization_overview AS
SELECT o.id AS org_id,
       o.name,
       o.slug,
       o.plan_type,
       coalesce(o.settings ->> 'currency', 'USD') AS currency,
       (SELECT count(*) FROM profile AS p WHERE p.org_id = o.id AND p.is_active) AS active_users,
       (SELECT count(*) FROM customer AS c WHERE c.org_id = o.id) AS customers,
       (SELECT count(*) FROM supplier AS s WHERE s.org_id = o.id) AS suppliers,
       (SELECT count(*) FROM support_ticket AS t WHERE t.org_id = o.id AND t.status NOT IN ('resolved', 'closed')) AS open_tickets,
       (SELECT coalesce(sum(i.unit_price * i.quantity_on_hand), 0) FROM inventory_item AS i WHERE i.org_id = o.id) AS stock_value,
       (SELECT coalesce(sum(po.total_amount), 0) FROM purchase_order AS po WHERE po.org_id = o.id) AS purchase_amount
FROM organization AS o;

COMMENT ON VIEW v_organization_overview IS
    'One row an organisation: people, customers, suppliers, open tickets, stock and purchases.';

CREATE VIEW v_user_profile AS
SELECT p.id AS user_id,
       p.org_id,
       o.name AS organization_name,
       o.plan_type,
       p.role,
       p.display_name,
       p.avatar_url,
       p.last_seen_at,
       p.is_active,
       (SELECT count(*) FROM notification AS n WHERE n.user_id = p.id AND n.read_at IS NULL) AS unread_notifications,
       (SELECT count(*) FROM support_ticket AS t WHERE t.assigned_to = p.id AND t.status NOT IN ('resolved', 'closed')) AS open_tickets
FROM profile AS p
JOIN organization AS o ON o.id = p.org_id;

COMMENT ON VIEW v_user_profile IS 'One row a user: the organisation, what is unread, what is to be done.';

CREATE VIEW v_supply_chain_overview AS
SELECT s.id AS supplier_id,
       s.org_id,
       s.name,
       s.status,
       s.risk_score,
       s.lead_time_days,
       items.items,
       items.stock_value,
       orders.orders,
       orders.open_orders,
       orders.ordered_amount,
       orders.last_order_date
FROM supplier AS s
CROSS JOIN LATERAL (
    SELECT count(*) AS items,
           coalesce(sum(i.unit_price * i.quantity_on_hand), 0) AS stock_value
    FROM inventory_item AS i
    WHERE i.supplier_id = s.id
) AS items
CROSS JOIN LATERAL (
    SELECT count(*) AS orders,
           count(*) FILTER (WHERE po.status NOT IN ('completed', 'cancelled')) AS open_orders,
           coalesce(sum(po.total_amount), 0) AS ordered_amount,
           max(po.order_date) AS last_order_date
    FROM purchase_order AS po
    WHERE po.supplier_id = s.id
) AS orders;

COMMENT ON VIEW v_supply_chain_overview IS 'One row a supplier: what it supplies and what was ordered from it.';

CREATE VIEW v_customer_ops_overview AS
SELECT c.id AS customer_id,
       c.org_id,
       c.name,
       c.segment,
       c.status,
       c.lifetime_value,
       c.last_interaction_date,
       tickets.tickets,
       tickets.open_tickets,
       tickets.last_ticket_at,
       contacts.interactions,
       contacts.unhappy_interactions
FROM customer AS c
CROSS JOIN LATERAL (
    SELECT count(*) AS tickets,
           count(*) FILTER (WHERE t.status NOT IN ('resolved', 'closed')) AS open_tickets,
           max(t.created_at) AS last_ticket_at
    FROM support_ticket AS t
    WHERE t.customer_id = c.id
) AS tickets
CROSS JOIN LATERAL (
    SELECT count(*) AS interactions,
           count(*) FILTER (WHERE i.sentiment IN ('very_negative', 'negative')) AS unhappy_interactions
    FROM customer_interaction AS i
    WHERE i.customer_id = c.id
) AS contacts;

COMMENT ON VIEW v_customer_ops_overview IS 'One row a customer: tickets and interactions.';

CREATE VIEW v_ai_workspace_stats AS
SELECT o.id AS org_id,
       o.name,
       chats.conversations,
       chats.messages,
       chats.tokens_used,
       chats.last_used_at,
       (SELECT count(*) FROM ai_dataset AS d WHERE d.org_id = o.id) AS datasets,
       (SELECT count(*) FROM ai_prompt_template AS t WHERE t.org_id = o.id) AS prompt_templates
FROM organization AS o
CROSS JOIN LATERAL (
    SELECT count(*) AS conversations,
           coalesce(sum(c.total_messages), 0) AS messages,
           coalesce(sum(c.total_tokens_used), 0) AS tokens_used,
           max(c.updated_at) AS last_used_at
    FROM ai_conversation AS c
    WHERE c.org_id = o.id
) AS chats;

COMMENT ON VIEW v_ai_workspace_stats IS
    'One row an organisation: conversations, messages, tokens, datasets and templates.';

CREATE VIEW v_recent_activity AS
SELECT org_id, 'customer' AS entity_type, id AS entity_id, name AS title, created_at AS happened_at
FROM customer

UNION ALL
SELECT org_id, 'support_ticket', id, title, created_at
FROM support_ticket

UNION ALL
SELECT org_id, 'purchase_order', id, po_number, created_at
FROM purchase_order

UNION ALL
SELECT org_id, 'customer_interaction', id, coalesce(subject, type::text), timestamp
FROM customer_interaction

UNION ALL
SELECT org_id, 'ai_conversation', id, title, created_at
FROM ai_conversation;

COMMENT ON VIEW v_recent_activity IS 'What came into being and when, to be read newest first.';

CREATE VIEW v_inventory_alerts AS
SELECT i.id AS item_id,
       i.org_id,
       i.sku,
       i.name,
       i.location,
       i.quantity_on_hand - i.quantity_reserved AS available,
       i.reorder_point,
       i.supplier_id,
       s.name AS supplier_name,
       s.lead_time_days,
       CASE
           WHEN i.quantity_on_hand = 0 THEN 'out_of_stock'
           WHEN i.quantity_on_hand = i.quantity_reserved THEN 'all_reserved'
           ELSE 'low_stock'
       END AS alert
FROM inventory_item AS i
LEFT JOIN supplier AS s ON s.id = i.supplier_id
WHERE i.is_active
  AND i.quantity_on_hand - i.quantity_reserved <= i.reorder_point;

COMMENT ON VIEW v_inventory_alerts IS 'Active items at or below their reorder point.';

GRANT SELECT ON
    v_organization_overview,
    v_user_profile,
    v_supply_chain_overview,
    v_customer_ops_overview,
    v_ai_workspace_stats,
    v_recent_activity,
    v_inventory_alerts
    TO service_role;

DO $$
DECLARE
    view_name  text;
BEGIN
    IF current_setting('server_version_num')::integer < 150000 THEN
        RETURN;
    END IF;

    FOREACH view_name IN ARRAY ARRAY[
        'v_organization_overview',
        'v_user_profile',
        'v_supply_chain_overview',
        'v_customer_ops_overview',
        'v_ai_workspace_stats',
        'v_recent_activity',
        'v_inventory_alerts'
    ]
    LOOP
        EXECUTE format('ALTER VIEW %I SET (security_invoker = true)', view_name);
        EXECUTE format('GRANT SELECT ON %I TO authenticated', view_name);
    END LOOP;
END
$$;
