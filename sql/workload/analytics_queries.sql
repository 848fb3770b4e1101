-- pgbench scenario: a user of some organisation looks at figures.
-- The seven views and the functions of the application before phase 1; it writes nothing. They must run unchanged before,
-- during and after every phase.
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

BEGIN;
SET LOCAL ROLE authenticated;
SELECT set_config('request.jwt.claim.sub', current_setting('load.user_id'), true),
       set_config('app.current_user_id', current_setting('load.user_id'), true);
SELECT * FROM v_organization_overview WHERE org_id = current_setting('load.org_id')::uuid;
SELECT * FROM v_user_profile WHERE user_id = current_setting('load.user_id')::uuid;
SELECT * FROM v_ai_workspace_stats WHERE org_id = current_setting('load.org_id')::uuid;
SELECT * FROM v_inventory_alerts WHERE org_id = current_setting('load.org_id')::uuid ORDER BY available LIMIT 20;
COMMIT;

BEGIN;
SET LOCAL ROLE authenticated;
SELECT set_config('request.jwt.claim.sub', current_setting('load.user_id'), true),
       set_config('app.current_user_id', current_setting('load.user_id'), true);
SELECT *
FROM v_supply_chain_overview
WHERE org_id = current_setting('load.org_id')::uuid
ORDER BY ordered_amount DESC
LIMIT 10;
SELECT *
FROM v_customer_ops_overview
WHERE org_id = current_setting('load.org_id')::uuid
ORDER BY lifetime_value DESC
LIMIT 10;
SELECT * FROM v_recent_activity WHERE org_id = current_setting('load.org_id')::uuid ORDER BY happened_at DESC LIMIT 20;
COMMIT;

BEGIN;
SET LOCAL ROLE authenticated;
SELECT set_config('request.jwt.claim.sub', current_setting('load.user_id'), true),
       set_config('app.current_user_id', current_setting('load.user_id'), true);
SELECT metric, value FROM get_org_metrics(current_setting('load.org_id')::uuid);
SELECT entity_type, title, rank FROM global_search(current_setting('load.org_id')::uuid, 'steel');
SELECT sku, available, suggested_quantity, estimated_cost
FROM get_reorder_suggestions(current_setting('load.org_id')::uuid) LIMIT 20;
SELECT get_widget_data((SELECT id FROM widget WHERE org_id = current_setting('load.org_id')::uuid ORDER BY id LIMIT 1));
SELECT segment, count(*), sum(lifetime_value)
FROM customer
WHERE org_id = current_setting('load.org_id')::uuid
GROUP BY segment;
SELECT status, count(*), sum(total_amount)
FROM purchase_order
WHERE org_id = current_setting('load.org_id')::uuid
GROUP BY status;
COMMIT;
