-- What the baseline's triggers keep for the application, by the application's own statements.
-- requires: a user with a profile
-- Numbers are compared with those just before, for other rows may have moved them.

-- step: updated_at is stamped by every update
DO $$
DECLARE
    me    profile%ROWTYPE;
    made  uuid;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    INSERT INTO supplier (org_id, name, updated_at)
    VALUES (me.org_id, 'Contract', '2001-01-01 00:00+00')
    RETURNING id INTO STRICT made;

    UPDATE supplier SET notes = 'Contract' WHERE id = made;
    ASSERT (SELECT updated_at = now() FROM supplier WHERE id = made), 'supplier.updated_at was not stamped by an update';
END
$$;

-- step: a purchase order is worth its lines
DO $$
DECLARE
    me      profile%ROWTYPE;
    buys    uuid;
    item    uuid;
    bought  uuid;
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
    VALUES (bought, item, 3, 2.50), (bought, item, 1, 10.00);
    ASSERT (SELECT total_amount = 17.50 FROM purchase_order WHERE id = bought), 'the order is not worth its new lines';
    UPDATE purchase_order_item SET quantity = 4 WHERE purchase_order_id = bought AND quantity = 3;
    ASSERT (SELECT total_amount = 20.00 FROM purchase_order WHERE id = bought), 'the order is not worth its changed line';
    DELETE FROM purchase_order_item WHERE purchase_order_id = bought AND quantity = 1;
    ASSERT (SELECT total_amount = 10.00 FROM purchase_order WHERE id = bought), 'the order is not worth the line that is left';
END
$$;

-- step: a conversation counts its messages
DO $$
DECLARE
    me    profile%ROWTYPE;
    talk  uuid;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    INSERT INTO ai_conversation (org_id, user_id, title, model)
    VALUES (me.org_id, me.id, 'Contract', 'contract')
    RETURNING id INTO STRICT talk;

    INSERT INTO ai_message (conversation_id, role, content, tokens_used, timestamp)
    VALUES (talk, 'user', 'Contract', 3, '2025-08-01 12:00+00'), (talk, 'assistant', 'Contract', 4, '2025-08-01 12:01+00');
    ASSERT (SELECT (total_messages, total_tokens_used) = (2, 7) FROM ai_conversation WHERE id = talk),
        'the conversation does not count its messages and tokens';
END
$$;

-- step: a pipeline counts its runs
DO $$
DECLARE
    me        profile%ROWTYPE;
    pipeline  uuid;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    INSERT INTO automation_pipeline (org_id, name, trigger_type, created_by)
    VALUES (me.org_id, 'Contract', 'manual', me.id)
    RETURNING id INTO STRICT pipeline;

    INSERT INTO pipeline_execution (pipeline_id, status, started_at) VALUES (pipeline, 'running', '2025-08-01 12:00+00');
    UPDATE pipeline_execution SET status = 'failed' WHERE pipeline_id = pipeline;
    ASSERT (
        SELECT execution_count = 1 AND error_count = 1 AND last_execution_at = '2025-08-01 12:00+00'
        FROM automation_pipeline
        WHERE id = pipeline
    ), 'the pipeline does not count its runs and failures';
END
$$;

-- step: a customer remembers the last interaction
DO $$
DECLARE
    me      profile%ROWTYPE;
    client  uuid;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    INSERT INTO customer (org_id, name) VALUES (me.org_id, 'Contract') RETURNING id INTO STRICT client;

    INSERT INTO customer_interaction (org_id, customer_id, channel, type, content, timestamp)
    VALUES (me.org_id, client, 'email', 'inquiry', 'Contract', '2025-08-01 12:00+00');
    ASSERT (SELECT last_interaction_date = '2025-08-01' FROM customer WHERE id = client),
        'the customer does not remember the last interaction';
END
$$;

-- step: a ticket is numbered and its first answer noted
DO $$
DECLARE
    me      profile%ROWTYPE;
    client  uuid;
    asked   uuid;
BEGIN
    SELECT * INTO STRICT me FROM profile WHERE is_active ORDER BY org_id, id LIMIT 1;
    INSERT INTO customer (org_id, name) VALUES (me.org_id, 'Contract') RETURNING id INTO STRICT client;
    INSERT INTO support_ticket (org_id, customer_id, ticket_number, title, description)
    VALUES (me.org_id, client, '', 'Contract', 'Contract')
    RETURNING id INTO STRICT asked;
    ASSERT (SELECT ticket_number ~ '^TKT-\d{6,}$' FROM support_ticket WHERE id = asked), 'the ticket has no number of its own';

    INSERT INTO ticket_comment (ticket_id, user_id, content) VALUES (asked, me.id, 'Contract');
    ASSERT (SELECT first_response_at = now() FROM support_ticket WHERE id = asked), 'the first answer is not noted';
END
$$;
