-- The baseline's own statements on its tables, as any writer makes them: an INSERT that names what is NOT NULL and has no
-- default, and knows nothing of columns to come; SELECT *, UPDATE, DELETE. They must succeed before, between and after all
-- phases, unchanged: whoever has to change one has broken the application.
-- requires: a user with a profile; an acting user with row-level security sees no profile but those of the own organisation
-- Partitioned tables are written with a day of 2025 Q3, which every installation has; a ticket is numbered by its trigger.

-- step: supplier
DO $$
DECLARE
    me    profile%ROWTYPE;
    made  uuid;
    seen  record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;

    INSERT INTO supplier (org_id, name)
    VALUES (me.org_id, 'Contract')
    RETURNING id INTO STRICT made;
    UPDATE supplier SET status = 'active', risk_score = 1, notes = 'Contract' WHERE id = made;
    ASSERT FOUND, 'supplier: the row just made was not updated';
    SELECT * INTO STRICT seen FROM supplier WHERE id = made;
    ASSERT seen.risk_score = 1 AND seen.lead_time_days = 0 AND seen.certifications = '{}',
        'supplier: a default or an update is not what it was';
    DELETE FROM supplier WHERE id = made;
    ASSERT FOUND, 'supplier: the row just made was not deleted';
END
$$;

-- step: inventory_item
DO $$
DECLARE
    me    profile%ROWTYPE;
    made  uuid;
    seen  record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;

    INSERT INTO inventory_item (org_id, sku, name, category)
    VALUES (me.org_id, 'contract-' || gen_random_uuid(), 'Contract', 'components')
    RETURNING id INTO STRICT made;
    UPDATE inventory_item SET quantity_on_hand = 5, quantity_reserved = 2 WHERE id = made;
    ASSERT FOUND, 'inventory_item: the row just made was not updated';
    SELECT * INTO STRICT seen FROM inventory_item WHERE id = made;
    ASSERT seen.quantity_on_hand = 5 AND seen.unit_price = 0 AND seen.unit_of_measure = 'each' AND seen.is_active,
        'inventory_item: a default or an update is not what it was';
    DELETE FROM inventory_item WHERE id = made;
    ASSERT FOUND, 'inventory_item: the row just made was not deleted';
END
$$;

-- step: purchase_order
DO $$
DECLARE
    me    profile%ROWTYPE;
    buys  uuid;
    made  uuid;
    seen  record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    INSERT INTO supplier (org_id, name) VALUES (me.org_id, 'Contract') RETURNING id INTO STRICT buys;

    INSERT INTO purchase_order (org_id, supplier_id, po_number)
    VALUES (me.org_id, buys, 'contract-' || gen_random_uuid())
    RETURNING id INTO STRICT made;
    UPDATE purchase_order SET status = 'sent', tax_amount = 1.50 WHERE id = made;
    ASSERT FOUND, 'purchase_order: the row just made was not updated';
    SELECT * INTO STRICT seen FROM purchase_order WHERE id = made;
    ASSERT seen.status = 'sent' AND seen.total_amount = 0 AND seen.order_date = CURRENT_DATE,
        'purchase_order: a default or an update is not what it was';
    DELETE FROM purchase_order WHERE id = made;
    ASSERT FOUND, 'purchase_order: the row just made was not deleted';
END
$$;

-- step: purchase_order_item
DO $$
DECLARE
    me      profile%ROWTYPE;
    buys    uuid;
    item    uuid;
    bought  uuid;
    made    uuid;
    seen    record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    INSERT INTO supplier (org_id, name) VALUES (me.org_id, 'Contract') RETURNING id INTO STRICT buys;
    INSERT INTO inventory_item (org_id, sku, name, category)
    VALUES (me.org_id, 'contract-' || gen_random_uuid(), 'Contract', 'components')
    RETURNING id INTO STRICT item;
    INSERT INTO purchase_order (org_id, supplier_id, po_number)
    VALUES (me.org_id, buys, 'contract-' || gen_random_uuid())
    RETURNING id INTO STRICT bought;

    INSERT INTO purchase_order_item (purchase_order_id, inventory_item_id, quantity, unit_price)
    VALUES (bought, item, 3, 2.50)
    RETURNING id INTO STRICT made;
    UPDATE purchase_order_item SET quantity = 4 WHERE id = made;
    ASSERT FOUND, 'purchase_order_item: the row just made was not updated';
    SELECT * INTO STRICT seen FROM purchase_order_item WHERE id = made;
    ASSERT seen.total_price = 10.00 AND seen.quantity_received = 0,
        'purchase_order_item: a default or an update is not what it was';
    DELETE FROM purchase_order_item WHERE id = made;
    ASSERT FOUND, 'purchase_order_item: the row just made was not deleted';
END
$$;

-- step: customer
DO $$
DECLARE
    me    profile%ROWTYPE;
    made  uuid;
    seen  record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;

    INSERT INTO customer (org_id, name)
    VALUES (me.org_id, 'Contract')
    RETURNING id INTO STRICT made;
    UPDATE customer SET email = 'contract@example.org', lifetime_value = 12.50 WHERE id = made;
    ASSERT FOUND, 'customer: the row just made was not updated';
    SELECT * INTO STRICT seen FROM customer WHERE id = made;
    ASSERT seen.status = 'prospect' AND seen.lifetime_value = 12.50 AND seen.metadata = '{}' AND seen.tags = '{}',
        'customer: a default or an update is not what it was';
    DELETE FROM customer WHERE id = made;
    ASSERT FOUND, 'customer: the row just made was not deleted';
END
$$;

-- step: customer_interaction
DO $$
DECLARE
    me      profile%ROWTYPE;
    client  uuid;
    made    uuid;
    seen    record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    INSERT INTO customer (org_id, name) VALUES (me.org_id, 'Contract') RETURNING id INTO STRICT client;

    INSERT INTO customer_interaction (org_id, customer_id, channel, type, content, timestamp)
    VALUES (me.org_id, client, 'phone', 'inquiry', 'Contract', '2025-08-01 12:00+00')
    RETURNING id INTO STRICT made;
    UPDATE customer_interaction SET sentiment = 'positive' WHERE id = made;
    ASSERT FOUND, 'customer_interaction: the row just made was not updated';
    SELECT * INTO STRICT seen FROM customer_interaction WHERE id = made;
    ASSERT seen.sentiment = 'positive' AND seen.metadata = '{}',
        'customer_interaction: a default or an update is not what it was';
    DELETE FROM customer_interaction WHERE id = made;
    ASSERT FOUND, 'customer_interaction: the row just made was not deleted';
END
$$;

-- step: support_ticket
DO $$
DECLARE
    me      profile%ROWTYPE;
    client  uuid;
    made    uuid;
    seen    record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    INSERT INTO customer (org_id, name) VALUES (me.org_id, 'Contract') RETURNING id INTO STRICT client;

    INSERT INTO support_ticket (org_id, customer_id, title, description)
    VALUES (me.org_id, client, 'Contract', 'Contract')
    RETURNING id INTO STRICT made;
    UPDATE support_ticket SET status = 'in_progress', assigned_to = me.id WHERE id = made;
    ASSERT FOUND, 'support_ticket: the row just made was not updated';
    SELECT * INTO STRICT seen FROM support_ticket WHERE id = made;
    ASSERT seen.priority = 'medium' AND seen.status = 'in_progress' AND seen.ticket_number <> '',
        'support_ticket: a default or an update is not what it was';
    DELETE FROM support_ticket WHERE id = made;
    ASSERT FOUND, 'support_ticket: the row just made was not deleted';
END
$$;

-- step: ticket_comment
DO $$
DECLARE
    me      profile%ROWTYPE;
    client  uuid;
    asked   uuid;
    made    uuid;
    seen    record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    INSERT INTO customer (org_id, name) VALUES (me.org_id, 'Contract') RETURNING id INTO STRICT client;
    INSERT INTO support_ticket (org_id, customer_id, title, description)
    VALUES (me.org_id, client, 'Contract', 'Contract')
    RETURNING id INTO STRICT asked;

    INSERT INTO ticket_comment (ticket_id, content)
    VALUES (asked, 'Contract')
    RETURNING id INTO STRICT made;
    UPDATE ticket_comment SET is_internal = true WHERE id = made;
    ASSERT FOUND, 'ticket_comment: the row just made was not updated';
    SELECT * INTO STRICT seen FROM ticket_comment WHERE id = made;
    ASSERT seen.is_internal AND NOT seen.is_resolution AND seen.attachments = '{}',
        'ticket_comment: a default or an update is not what it was';
    DELETE FROM ticket_comment WHERE id = made;
    ASSERT FOUND, 'ticket_comment: the row just made was not deleted';
END
$$;

-- step: ai_conversation
DO $$
DECLARE
    me    profile%ROWTYPE;
    made  uuid;
    seen  record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;

    INSERT INTO ai_conversation (org_id, user_id, title, model)
    VALUES (me.org_id, me.id, 'Contract', 'contract')
    RETURNING id INTO STRICT made;
    UPDATE ai_conversation SET is_pinned = true WHERE id = made;
    ASSERT FOUND, 'ai_conversation: the row just made was not updated';
    SELECT * INTO STRICT seen FROM ai_conversation WHERE id = made;
    ASSERT seen.is_pinned AND seen.total_messages = 0 AND NOT seen.is_archived,
        'ai_conversation: a default or an update is not what it was';
    DELETE FROM ai_conversation WHERE id = made;
    ASSERT FOUND, 'ai_conversation: the row just made was not deleted';
END
$$;

-- step: ai_message
DO $$
DECLARE
    me    profile%ROWTYPE;
    talk  uuid;
    made  uuid;
    seen  record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    INSERT INTO ai_conversation (org_id, user_id, title, model)
    VALUES (me.org_id, me.id, 'Contract', 'contract')
    RETURNING id INTO STRICT talk;

    INSERT INTO ai_message (conversation_id, role, content, timestamp)
    VALUES (talk, 'user', 'Contract', '2025-08-01 12:00+00')
    RETURNING id INTO STRICT made;
    UPDATE ai_message SET tokens_used = 7 WHERE id = made;
    ASSERT FOUND, 'ai_message: the row just made was not updated';
    SELECT * INTO STRICT seen FROM ai_message WHERE id = made;
    ASSERT seen.tokens_used = 7 AND seen.metadata = '{}',
        'ai_message: a default or an update is not what it was';
    DELETE FROM ai_message WHERE id = made;
    ASSERT FOUND, 'ai_message: the row just made was not deleted';
END
$$;

-- step: ai_dataset
DO $$
DECLARE
    me    profile%ROWTYPE;
    made  uuid;
    seen  record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;

    INSERT INTO ai_dataset (org_id, name, data_type, created_by)
    VALUES (me.org_id, 'Contract', 'csv', me.id)
    RETURNING id INTO STRICT made;
    UPDATE ai_dataset SET record_count = 7 WHERE id = made;
    ASSERT FOUND, 'ai_dataset: the row just made was not updated';
    SELECT * INTO STRICT seen FROM ai_dataset WHERE id = made;
    ASSERT seen.record_count = 7 AND NOT seen.is_public AND seen.schema_info = '{}',
        'ai_dataset: a default or an update is not what it was';
    DELETE FROM ai_dataset WHERE id = made;
    ASSERT FOUND, 'ai_dataset: the row just made was not deleted';
END
$$;

-- step: ai_prompt_template
DO $$
DECLARE
    me    profile%ROWTYPE;
    made  uuid;
    seen  record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;

    INSERT INTO ai_prompt_template (org_id, name, template_text, category, created_by)
    VALUES (me.org_id, 'Contract', 'Contract', 'analysis', me.id)
    RETURNING id INTO STRICT made;
    UPDATE ai_prompt_template SET usage_count = usage_count + 1 WHERE id = made;
    ASSERT FOUND, 'ai_prompt_template: the row just made was not updated';
    SELECT * INTO STRICT seen FROM ai_prompt_template WHERE id = made;
    ASSERT seen.usage_count = 1 AND NOT seen.is_public,
        'ai_prompt_template: a default or an update is not what it was';
    DELETE FROM ai_prompt_template WHERE id = made;
    ASSERT FOUND, 'ai_prompt_template: the row just made was not deleted';
END
$$;

-- step: integration_connector
DO $$
DECLARE
    me    profile%ROWTYPE;
    made  uuid;
    seen  record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;

    INSERT INTO integration_connector (org_id, name, provider, created_by)
    VALUES (me.org_id, 'Contract', 'stripe', me.id)
    RETURNING id INTO STRICT made;
    UPDATE integration_connector SET status = 'active' WHERE id = made;
    ASSERT FOUND, 'integration_connector: the row just made was not updated';
    SELECT * INTO STRICT seen FROM integration_connector WHERE id = made;
    ASSERT seen.status = 'active' AND seen.config = '{}' AND seen.max_retries = 3,
        'integration_connector: a default or an update is not what it was';
    DELETE FROM integration_connector WHERE id = made;
    ASSERT FOUND, 'integration_connector: the row just made was not deleted';
END
$$;

-- step: automation_pipeline
DO $$
DECLARE
    me    profile%ROWTYPE;
    made  uuid;
    seen  record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;

    INSERT INTO automation_pipeline (org_id, name, trigger_type, created_by)
    VALUES (me.org_id, 'Contract', 'manual', me.id)
    RETURNING id INTO STRICT made;
    UPDATE automation_pipeline SET status = 'paused' WHERE id = made;
    ASSERT FOUND, 'automation_pipeline: the row just made was not updated';
    SELECT * INTO STRICT seen FROM automation_pipeline WHERE id = made;
    ASSERT seen.status = 'paused' AND seen.execution_count = 0 AND seen.trigger_config = '{}',
        'automation_pipeline: a default or an update is not what it was';
    DELETE FROM automation_pipeline WHERE id = made;
    ASSERT FOUND, 'automation_pipeline: the row just made was not deleted';
END
$$;

-- step: pipeline_execution
DO $$
DECLARE
    me        profile%ROWTYPE;
    pipeline  uuid;
    made      uuid;
    seen      record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    INSERT INTO automation_pipeline (org_id, name, trigger_type, created_by)
    VALUES (me.org_id, 'Contract', 'manual', me.id)
    RETURNING id INTO STRICT pipeline;

    INSERT INTO pipeline_execution (pipeline_id, started_at)
    VALUES (pipeline, '2025-08-01 12:00+00')
    RETURNING id INTO STRICT made;
    UPDATE pipeline_execution SET status = 'completed', completed_at = '2025-08-01 12:01+00' WHERE id = made;
    ASSERT FOUND, 'pipeline_execution: the row just made was not updated';
    SELECT * INTO STRICT seen FROM pipeline_execution WHERE id = made;
    ASSERT seen.status = 'completed' AND seen.records_processed = 0,
        'pipeline_execution: a default or an update is not what it was';
    DELETE FROM pipeline_execution WHERE id = made;
    ASSERT FOUND, 'pipeline_execution: the row just made was not deleted';
END
$$;

-- step: data_import
DO $$
DECLARE
    me    profile%ROWTYPE;
    made  uuid;
    seen  record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;

    INSERT INTO data_import (org_id, file_name, created_by)
    VALUES (me.org_id, 'contract.csv', me.id)
    RETURNING id INTO STRICT made;
    UPDATE data_import SET status = 'processing', processed_count = 3 WHERE id = made;
    ASSERT FOUND, 'data_import: the row just made was not updated';
    SELECT * INTO STRICT seen FROM data_import WHERE id = made;
    ASSERT seen.processed_count = 3 AND seen.record_count = 0 AND seen.error_log = '[]',
        'data_import: a default or an update is not what it was';
    DELETE FROM data_import WHERE id = made;
    ASSERT FOUND, 'data_import: the row just made was not deleted';
END
$$;

-- step: integration_log
DO $$
DECLARE
    me    profile%ROWTYPE;
    made  uuid;
    seen  record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;

    INSERT INTO integration_log (org_id, message)
    VALUES (me.org_id, 'Contract')
    RETURNING id INTO STRICT made;
    UPDATE integration_log SET level = 'warn' WHERE id = made;
    ASSERT FOUND, 'integration_log: the row just made was not updated';
    SELECT * INTO STRICT seen FROM integration_log WHERE id = made;
    ASSERT seen.level = 'warn' AND seen.metadata = '{}' AND seen.timestamp IS NOT NULL,
        'integration_log: a default or an update is not what it was';
    DELETE FROM integration_log WHERE id = made;
    ASSERT FOUND, 'integration_log: the row just made was not deleted';
END
$$;

-- step: dashboard
DO $$
DECLARE
    me    profile%ROWTYPE;
    made  uuid;
    seen  record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;

    INSERT INTO dashboard (org_id, name, created_by)
    VALUES (me.org_id, 'Contract', me.id)
    RETURNING id INTO STRICT made;
    UPDATE dashboard SET view_count = view_count + 1 WHERE id = made;
    ASSERT FOUND, 'dashboard: the row just made was not updated';
    SELECT * INTO STRICT seen FROM dashboard WHERE id = made;
    ASSERT seen.view_count = 1 AND NOT seen.is_public AND seen.layout_config = '{}',
        'dashboard: a default or an update is not what it was';
    DELETE FROM dashboard WHERE id = made;
    ASSERT FOUND, 'dashboard: the row just made was not deleted';
END
$$;

-- step: widget
DO $$
DECLARE
    me     profile%ROWTYPE;
    board  uuid;
    made   uuid;
    seen   record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    INSERT INTO dashboard (org_id, name, created_by) VALUES (me.org_id, 'Contract', me.id) RETURNING id INTO STRICT board;

    INSERT INTO widget (org_id, dashboard_id, name, type)
    VALUES (me.org_id, board, 'Contract', 'text')
    RETURNING id INTO STRICT made;
    UPDATE widget SET is_visible = false WHERE id = made;
    ASSERT FOUND, 'widget: the row just made was not updated';
    SELECT * INTO STRICT seen FROM widget WHERE id = made;
    ASSERT NOT seen.is_visible AND seen.cache_ttl_seconds = 300 AND seen.size = '{"width": 4, "height": 3}',
        'widget: a default or an update is not what it was';
    DELETE FROM widget WHERE id = made;
    ASSERT FOUND, 'widget: the row just made was not deleted';
END
$$;

-- step: widget_data_cache
DO $$
DECLARE
    me     profile%ROWTYPE;
    board  uuid;
    tile   uuid;
    made   uuid;
    seen   record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    INSERT INTO dashboard (org_id, name, created_by) VALUES (me.org_id, 'Contract', me.id) RETURNING id INTO STRICT board;
    INSERT INTO widget (org_id, dashboard_id, name, type)
    VALUES (me.org_id, board, 'Contract', 'text')
    RETURNING id INTO STRICT tile;

    INSERT INTO widget_data_cache (widget_id, data_hash, cached_data, expires_at)
    VALUES (tile, 'contract', '{}', now() + interval '1 hour')
    RETURNING id INTO STRICT made;
    UPDATE widget_data_cache SET cached_data = '{"contract": 1}' WHERE id = made;
    ASSERT FOUND, 'widget_data_cache: the row just made was not updated';
    SELECT * INTO STRICT seen FROM widget_data_cache WHERE id = made;
    ASSERT seen.cached_data = '{"contract": 1}' AND seen.created_at IS NOT NULL,
        'widget_data_cache: a default or an update is not what it was';
    DELETE FROM widget_data_cache WHERE id = made;
    ASSERT FOUND, 'widget_data_cache: the row just made was not deleted';
END
$$;

-- step: dashboard_favorite
DO $$
DECLARE
    me     profile%ROWTYPE;
    board  uuid;
    made   uuid;
    seen   record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    INSERT INTO dashboard (org_id, name, created_by) VALUES (me.org_id, 'Contract', me.id) RETURNING id INTO STRICT board;

    INSERT INTO dashboard_favorite (user_id, dashboard_id)
    VALUES (me.id, board)
    RETURNING id INTO STRICT made;
    UPDATE dashboard_favorite SET created_at = '2025-08-01 12:00+00' WHERE id = made;
    ASSERT FOUND, 'dashboard_favorite: the row just made was not updated';
    SELECT * INTO STRICT seen FROM dashboard_favorite WHERE id = made;
    ASSERT seen.created_at = '2025-08-01 12:00+00',
        'dashboard_favorite: a default or an update is not what it was';
    DELETE FROM dashboard_favorite WHERE id = made;
    ASSERT FOUND, 'dashboard_favorite: the row just made was not deleted';
END
$$;

-- step: dashboard_share
DO $$
DECLARE
    me     profile%ROWTYPE;
    board  uuid;
    made   uuid;
    seen   record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    INSERT INTO dashboard (org_id, name, created_by) VALUES (me.org_id, 'Contract', me.id) RETURNING id INTO STRICT board;

    INSERT INTO dashboard_share (dashboard_id, shared_by, share_token)
    VALUES (board, me.id, 'contract-' || gen_random_uuid())
    RETURNING id INTO STRICT made;
    UPDATE dashboard_share SET expires_at = 'infinity' WHERE id = made;
    ASSERT FOUND, 'dashboard_share: the row just made was not updated';
    SELECT * INTO STRICT seen FROM dashboard_share WHERE id = made;
    ASSERT seen.permissions = '{"view": true}' AND seen.expires_at = 'infinity',
        'dashboard_share: a default or an update is not what it was';
    DELETE FROM dashboard_share WHERE id = made;
    ASSERT FOUND, 'dashboard_share: the row just made was not deleted';
END
$$;

-- step: alert_rule
DO $$
DECLARE
    me    profile%ROWTYPE;
    made  uuid;
    seen  record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;

    INSERT INTO alert_rule (org_id, name, metric_name, condition, created_by)
    VALUES (me.org_id, 'Contract', 'contract', '{"above": 1}', me.id)
    RETURNING id INTO STRICT made;
    UPDATE alert_rule SET is_active = false WHERE id = made;
    ASSERT FOUND, 'alert_rule: the row just made was not updated';
    SELECT * INTO STRICT seen FROM alert_rule WHERE id = made;
    ASSERT NOT seen.is_active AND seen.severity = 'warning' AND seen.cooldown_minutes = 60,
        'alert_rule: a default or an update is not what it was';
    DELETE FROM alert_rule WHERE id = made;
    ASSERT FOUND, 'alert_rule: the row just made was not deleted';
END
$$;

-- step: system_metric
DO $$
DECLARE
    me    profile%ROWTYPE;
    made  uuid;
    seen  record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;

    INSERT INTO system_metric (org_id, metric_name, metric_type, metric_value, timestamp)
    VALUES (me.org_id, 'contract', 'gauge', 1, '2025-08-01 12:00+00')
    RETURNING id INTO STRICT made;
    UPDATE system_metric SET metric_value = 2 WHERE id = made;
    ASSERT FOUND, 'system_metric: the row just made was not updated';
    SELECT * INTO STRICT seen FROM system_metric WHERE id = made;
    ASSERT seen.metric_value = 2 AND seen.tags = '{}',
        'system_metric: a default or an update is not what it was';
    DELETE FROM system_metric WHERE id = made;
    ASSERT FOUND, 'system_metric: the row just made was not deleted';
END
$$;

-- step: notification
DO $$
DECLARE
    me    profile%ROWTYPE;
    made  uuid;
    seen  record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;

    INSERT INTO notification (org_id, type, title, message)
    VALUES (me.org_id, 'info', 'Contract', 'Contract')
    RETURNING id INTO STRICT made;
    UPDATE notification SET read_at = now() WHERE id = made;
    ASSERT FOUND, 'notification: the row just made was not updated';
    SELECT * INTO STRICT seen FROM notification WHERE id = made;
    ASSERT seen.read_at = now() AND seen.metadata = '{}',
        'notification: a default or an update is not what it was';
    DELETE FROM notification WHERE id = made;
    ASSERT FOUND, 'notification: the row just made was not deleted';
END
$$;

-- step: profile
DO $$
DECLARE
    me    profile%ROWTYPE;
    seen  record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;

    UPDATE profile SET last_seen_at = now(), settings = '{"contract": true}' WHERE id = me.id;
    ASSERT FOUND, 'profile: an own row was not updated';
    SELECT * INTO STRICT seen FROM profile WHERE id = me.id;
    ASSERT seen.last_seen_at = now() AND seen.role = me.role, 'profile: an update is not what it was';
END
$$;

-- step: organization
DO $$
DECLARE
    me    profile%ROWTYPE;
    seen  record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;

    UPDATE organization SET settings = settings || '{"contract": true}' WHERE id = me.org_id AND settings IS NOT NULL;
    UPDATE organization SET settings = '{"contract": true}' WHERE id = me.org_id AND settings IS NULL;
    SELECT * INTO STRICT seen FROM organization WHERE id = me.org_id;
    ASSERT seen.settings ? 'contract', 'organization: the own row was not updated';
END
$$;

-- step: audit_log
DO $$
DECLARE
    me    profile%ROWTYPE;
    made  uuid;
    seen  record;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;

    INSERT INTO supplier (org_id, name) VALUES (me.org_id, 'Contract') RETURNING id INTO STRICT made;
    SELECT * INTO STRICT seen FROM audit_log WHERE record_id = made AND timestamp = now();
    ASSERT seen.action = 'INSERT' AND seen.table_name = 'supplier' AND seen.org_id = me.org_id
        AND seen.new_data ->> 'name' = 'Contract',
        'audit_log: the entry of a new supplier is not what it was';
END
$$;
