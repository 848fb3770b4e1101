-- Baseline 05: trigger functions, and the functions the application calls.
-- requires: 01 to 03
-- Functions that keep totals run as their owner: a total must not depend on which rows the caller may see.
-- Functions of the application run as their caller: row-level security answers for what they find.


------------------------
-- The current tenant --
------------------------

-- Row security of profile lets everybody see the own row without asking for the organisation, and the parameter
-- current_user_id is compared before any policy is: so this does not recurse, even under FORCE ROW LEVEL SECURITY.
CREATE FUNCTION current_org_id()
    RETURNS uuid
    LANGUAGE plpgsql
    STABLE
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
DECLARE
    current_user_id  uuid := auth.uid();
BEGIN
    IF current_user_id IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT org_id FROM profile WHERE id = current_user_id);
END
$$;

COMMENT ON FUNCTION current_org_id() IS 'The current user''s organisation; NULL for nobody, which no policy matches.';


-----------------------
-- updated_at, audit --
-----------------------

CREATE FUNCTION set_updated_at()
    RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION set_updated_at() IS 'Trigger: stamps the row''s last change.';

CREATE FUNCTION record_audit()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
DECLARE
    row_before  jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) - 'credentials_encrypted' END;
    row_after   jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) - 'credentials_encrypted' END;
    row_now     jsonb := coalesce(row_after, row_before);
    tenant      uuid;
BEGIN
    tenant := CASE TG_TABLE_NAME
        WHEN 'purchase_order_item'
            THEN (SELECT org_id FROM purchase_order WHERE id = (row_now ->> 'purchase_order_id')::uuid)
        WHEN 'ticket_comment'
            THEN (SELECT org_id FROM support_ticket WHERE id = (row_now ->> 'ticket_id')::uuid)
        ELSE (row_now ->> 'org_id')::uuid
    END;

    -- A row deleted together with its organisation must not name it: the reference would refuse.
    IF TG_OP = 'DELETE' THEN
        tenant := (SELECT id FROM organization WHERE id = tenant);
    END IF;

    INSERT INTO audit_log (org_id, user_id, action, table_name, record_id, old_data, new_data)
    VALUES (tenant, auth.uid(), TG_OP::audit_action, TG_TABLE_NAME, (row_now ->> 'id')::uuid, row_before, row_after);

    RETURN NULL;
END
$$;

COMMENT ON FUNCTION record_audit() IS 'Trigger: writes the row before and after into audit_log, without credentials.';


---------------------------
-- Totals and statistics --
---------------------------
-- By difference, never by counting again: two transactions that add a line each would not see the other's.

CREATE FUNCTION keep_conversation_totals()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
BEGIN
    IF TG_OP IN ('UPDATE', 'DELETE') THEN
        UPDATE ai_conversation
        SET total_messages = coalesce(total_messages, 0) - 1,
            total_tokens_used = coalesce(total_tokens_used, 0) - coalesce(OLD.tokens_used, 0)
        WHERE id = OLD.conversation_id;
    END IF;

    IF TG_OP IN ('INSERT', 'UPDATE') THEN
        UPDATE ai_conversation
        SET total_messages = coalesce(total_messages, 0) + 1,
            total_tokens_used = coalesce(total_tokens_used, 0) + coalesce(NEW.tokens_used, 0)
        WHERE id = NEW.conversation_id;
    END IF;

    RETURN NULL;
END
$$;

COMMENT ON FUNCTION keep_conversation_totals() IS
    'Trigger on ai_message: ai_conversation.total_messages and .total_tokens_used.';

CREATE FUNCTION keep_purchase_order_total()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
BEGIN
    IF TG_OP IN ('UPDATE', 'DELETE') THEN
        UPDATE purchase_order
        SET total_amount = coalesce(total_amount, 0) - OLD.total_price
        WHERE id = OLD.purchase_order_id;
    END IF;

    IF TG_OP IN ('INSERT', 'UPDATE') THEN
        UPDATE purchase_order
        SET total_amount = coalesce(total_amount, 0) + NEW.total_price
        WHERE id = NEW.purchase_order_id;
    END IF;

    RETURN NULL;
END
$$;

COMMENT ON FUNCTION keep_purchase_order_total() IS
    'Trigger on purchase_order_item: purchase_order.total_amount, the sum of the lines before tax and shipping.';

CREATE FUNCTION keep_last_interaction()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
DECLARE
    day_of_contact  date := (NEW.timestamp AT TIME ZONE 'UTC')::date;
BEGIN
    UPDATE customer
    SET last_interaction_date = day_of_contact
    WHERE id = NEW.customer_id
      AND (last_interaction_date IS NULL OR last_interaction_date < day_of_contact)
      AND (acquisition_date IS NULL OR acquisition_date <= day_of_contact);

    RETURN NULL;
END
$$;

COMMENT ON FUNCTION keep_last_interaction() IS
    'Trigger on customer_interaction: customer.last_interaction_date, in UTC, from the acquisition on.';

CREATE FUNCTION keep_pipeline_statistics()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
BEGIN
    IF TG_OP IN ('UPDATE', 'DELETE') THEN
        UPDATE automation_pipeline
        SET execution_count = coalesce(execution_count, 0) - 1,
            error_count = coalesce(error_count, 0) - (CASE WHEN OLD.status IN ('failed', 'timeout') THEN 1 ELSE 0 END)
        WHERE id = OLD.pipeline_id;
    END IF;

    -- A due date that has come is no longer due: automation_pipeline_next_execution_after_last would refuse it.
    IF TG_OP IN ('INSERT', 'UPDATE') THEN
        UPDATE automation_pipeline
        SET execution_count = coalesce(execution_count, 0) + 1,
            error_count = coalesce(error_count, 0) + (CASE WHEN NEW.status IN ('failed', 'timeout') THEN 1 ELSE 0 END),
            last_execution_at = greatest(last_execution_at, NEW.started_at),
            next_execution_at = CASE WHEN next_execution_at >= NEW.started_at THEN next_execution_at END
        WHERE id = NEW.pipeline_id;
    END IF;

    RETURN NULL;
END
$$;

COMMENT ON FUNCTION keep_pipeline_statistics() IS
    'Trigger on pipeline_execution: automation_pipeline''s counters, last and next execution.';

CREATE SEQUENCE support_ticket_number_seq;

COMMENT ON SEQUENCE support_ticket_number_seq IS
    'Numbers of support tickets, unique over all organisations; gaps are normal.';

CREATE FUNCTION set_ticket_number()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
DECLARE
    next_number  text;
BEGIN
    IF coalesce(NEW.ticket_number, '') = '' THEN
        next_number := nextval('support_ticket_number_seq')::text;
        NEW.ticket_number := 'TKT-' || lpad(next_number, greatest(6, char_length(next_number)), '0');
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION set_ticket_number() IS 'Trigger on support_ticket: a number for a ticket that comes without one.';

CREATE FUNCTION keep_first_response()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
BEGIN
    UPDATE support_ticket
    SET first_response_at = NEW.created_at
    WHERE id = NEW.ticket_id
      AND first_response_at IS NULL
      AND created_at <= NEW.created_at;

    RETURN NULL;
END
$$;

COMMENT ON FUNCTION keep_first_response() IS
    'Trigger on ticket_comment: support_ticket.first_response_at, at the first public answer of staff.';


----------------------------------------
-- What the application asks and does --
----------------------------------------

CREATE FUNCTION get_widget_data(target_widget uuid)
    RETURNS jsonb
    LANGUAGE plpgsql
    STABLE
    SET search_path = public, pg_temp
AS $$
DECLARE
    tile     record;
    cached   jsonb;
    figures  jsonb;
BEGIN
    SELECT org_id, name, type, data_source_config ->> 'source' AS source
    INTO tile
    FROM widget
    WHERE id = target_widget;

    IF NOT FOUND THEN
        RETURN NULL;
    END IF;

    SELECT cached_data
    INTO cached
    FROM widget_data_cache
    WHERE widget_id = target_widget
      AND expires_at > now()
    ORDER BY expires_at DESC, id
    LIMIT 1;

    IF cached IS NOT NULL THEN
        RETURN cached;
    END IF;

    figures := CASE tile.source
        WHEN 'tickets_by_status' THEN (
            SELECT jsonb_object_agg(label, n)
            FROM (
                SELECT coalesce(status::text, 'unknown') AS label, count(*) AS n
                FROM support_ticket
                WHERE org_id = tile.org_id
                GROUP BY 1
            ) AS tickets
        )
        WHEN 'customers_by_segment' THEN (
            SELECT jsonb_object_agg(label, n)
            FROM (
                SELECT coalesce(segment::text, 'unknown') AS label, count(*) AS n
                FROM customer
                WHERE org_id = tile.org_id
                GROUP BY 1
            ) AS customers
        )
        WHEN 'orders_by_status' THEN (
            SELECT jsonb_object_agg(label, amount)
            FROM (
                SELECT coalesce(status::text, 'unknown') AS label, sum(total_amount) AS amount
                FROM purchase_order
                WHERE org_id = tile.org_id
                GROUP BY 1
            ) AS orders
        )
        WHEN 'stock_by_category' THEN (
            SELECT jsonb_object_agg(label, amount)
            FROM (
                SELECT category::text AS label, sum(unit_price * quantity_on_hand) AS amount
                FROM inventory_item
                WHERE org_id = tile.org_id
                GROUP BY 1
            ) AS stock
        )
    END;

    RETURN jsonb_build_object(
        'widget', tile.name,
        'type', tile.type,
        'figures', coalesce(figures, '{}')
    );
END
$$;

COMMENT ON FUNCTION get_widget_data(uuid) IS
    'What a widget shows: its cached result, or the figures of its source; NULL for a widget the caller may not see.';

CREATE FUNCTION global_search(
    target_org   uuid,
    search_text  text,
    max_results  integer DEFAULT 20
)
    RETURNS TABLE (
        entity_type  text,
        entity_id    uuid,
        title        text,
        detail       text,
        rank         real
    )
    LANGUAGE sql
    STABLE
    SET search_path = public, pg_temp
AS $$
    WITH asked AS (
        SELECT plainto_tsquery('simple', search_text) AS words
    )
    SELECT 'customer', c.id, c.name, c.email, ts_rank(to_tsvector('simple', c.name), asked.words) AS rank
    FROM customer AS c, asked
    WHERE c.org_id = target_org
      AND to_tsvector('simple', c.name) @@ asked.words

    UNION ALL
    SELECT 'supplier', s.id, s.name, s.contact_email, ts_rank(to_tsvector('simple', s.name), asked.words)
    FROM supplier AS s, asked
    WHERE s.org_id = target_org
      AND to_tsvector('simple', s.name) @@ asked.words

    UNION ALL
    SELECT 'inventory_item', i.id, i.name, i.sku, ts_rank(to_tsvector('simple', i.name), asked.words)
    FROM inventory_item AS i, asked
    WHERE i.org_id = target_org
      AND to_tsvector('simple', i.name) @@ asked.words

    UNION ALL
    SELECT 'support_ticket', t.id, t.title, t.ticket_number, ts_rank(to_tsvector('simple', t.title), asked.words)
    FROM support_ticket AS t, asked
    WHERE t.org_id = target_org
      AND to_tsvector('simple', t.title) @@ asked.words

    ORDER BY rank DESC, 2
    LIMIT max_results
$$;

COMMENT ON FUNCTION global_search(uuid, text, integer) IS
    'Customers, suppliers, items and tickets of an organisation whose name holds all the words, best first.';

CREATE FUNCTION get_org_metrics(
    target_org  uuid,
    since       timestamptz DEFAULT '-infinity',
    until       timestamptz DEFAULT 'infinity'
)
    RETURNS TABLE (
        metric  text,
        value   numeric
    )
    LANGUAGE sql
    STABLE
    SET search_path = public, pg_temp
AS $$
    SELECT 'customers', count(*)::numeric
    FROM customer
    WHERE org_id = target_org AND created_at >= since AND created_at < until

    UNION ALL
    SELECT 'lifetime_value', coalesce(sum(lifetime_value), 0)
    FROM customer
    WHERE org_id = target_org AND created_at >= since AND created_at < until

    UNION ALL
    SELECT 'tickets', count(*)
    FROM support_ticket
    WHERE org_id = target_org AND created_at >= since AND created_at < until

    UNION ALL
    SELECT 'open_tickets', count(*)
    FROM support_ticket
    WHERE org_id = target_org AND created_at >= since AND created_at < until
      AND status NOT IN ('resolved', 'closed')

    UNION ALL
    SELECT 'hours_to_first_response', round(avg(extract(epoch FROM first_response_at - created_at)) / 3600, 2)
    FROM support_ticket
    WHERE org_id = target_org AND created_at >= since AND created_at < until

    UNION ALL
    SELECT 'interactions', count(*)
    FROM customer_interaction
    WHERE org_id = target_org AND timestamp >= since AND timestamp < until

    UNION ALL
    SELECT 'purchase_orders', count(*)
    FROM purchase_order
    WHERE org_id = target_org AND created_at >= since AND created_at < until

    UNION ALL
    SELECT 'purchase_amount', coalesce(sum(total_amount), 0)
    FROM purchase_order
    WHERE org_id = target_org AND created_at >= since AND created_at < until

    UNION ALL
    SELECT 'stock_value', coalesce(sum(unit_price * quantity_on_hand), 0)
    FROM inventory_item
    WHERE org_id = target_org

    UNION ALL
    SELECT 'ai_tokens', coalesce(sum(total_tokens_used), 0)
    FROM ai_conversation
    WHERE org_id = target_org AND created_at >= since AND created_at < until
$$;

COMMENT ON FUNCTION get_org_metrics(uuid, timestamptz, timestamptz) IS
    'An organisation''s key figures for what was created from since (inclusive) until until (exclusive); stock is as of now.';

CREATE FUNCTION bulk_update_tickets(
    ticket_ids    uuid[],
    new_status    ticket_status DEFAULT NULL,
    new_priority  ticket_priority DEFAULT NULL,
    new_assignee  uuid DEFAULT NULL
)
    RETURNS integer
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
AS $$
DECLARE
    updated  integer;
BEGIN
    UPDATE support_ticket
    SET status = coalesce(new_status, status),
        priority = coalesce(new_priority, priority),
        assigned_to = coalesce(new_assignee, assigned_to),
        resolved_at = CASE
            WHEN new_status IN ('resolved', 'closed') THEN coalesce(resolved_at, greatest(now(), created_at))
            ELSE resolved_at
        END,
        closed_at = CASE
            WHEN new_status = 'closed' THEN coalesce(closed_at, greatest(now(), resolved_at, created_at))
            ELSE closed_at
        END
    WHERE id = ANY (ticket_ids);

    GET DIAGNOSTICS updated = ROW_COUNT;
    RETURN updated;
END
$$;

COMMENT ON FUNCTION bulk_update_tickets(uuid[], ticket_status, ticket_priority, uuid) IS
    'Changes what is given on all the tickets the caller may change; returns how many.';

CREATE FUNCTION get_reorder_suggestions(target_org uuid)
    RETURNS TABLE (
        item_id             uuid,
        sku                 text,
        item_name           text,
        available           integer,
        reorder_point       integer,
        on_order            bigint,
        suggested_quantity  bigint,
        estimated_cost      numeric,
        supplier_id         uuid,
        supplier_name       text,
        lead_time_days      integer
    )
    LANGUAGE sql
    STABLE
    SET search_path = public, pg_temp
AS $$
    SELECT i.id,
           i.sku,
           i.name,
           i.quantity_on_hand - i.quantity_reserved,
           i.reorder_point,
           coming.quantity,
           wanted.quantity,
           wanted.quantity * i.unit_price,
           s.id,
           s.name,
           s.lead_time_days
    FROM inventory_item AS i
    LEFT JOIN supplier AS s ON s.id = i.supplier_id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(line.quantity - coalesce(line.quantity_received, 0)), 0) AS quantity
        FROM purchase_order_item AS line
        JOIN purchase_order AS o ON o.id = line.purchase_order_id
        WHERE line.inventory_item_id = i.id
          AND o.status IN ('approved', 'sent', 'acknowledged', 'partially_received')
    ) AS coming
    CROSS JOIN LATERAL (
        SELECT coalesce(i.max_stock_level, 2 * i.reorder_point)
             - (i.quantity_on_hand - i.quantity_reserved)
             - coming.quantity AS quantity
    ) AS wanted
    WHERE i.org_id = target_org
      AND i.is_active
      AND i.quantity_on_hand - i.quantity_reserved <= i.reorder_point
      AND wanted.quantity > 0
    ORDER BY wanted.quantity * i.unit_price DESC NULLS LAST, i.sku
$$;

COMMENT ON FUNCTION get_reorder_suggestions(uuid) IS
    'Active items at or below their reorder point, and what to order beyond what is already on its way.';


------------
-- Rights --
------------

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;

GRANT EXECUTE ON FUNCTION current_org_id() TO PUBLIC;   -- policies call it, whoever reads

GRANT EXECUTE ON FUNCTION
    get_widget_data(uuid),
    global_search(uuid, text, integer),
    get_org_metrics(uuid, timestamptz, timestamptz),
    bulk_update_tickets(uuid[], ticket_status, ticket_priority, uuid),
    get_reorder_suggestions(uuid)
    TO authenticated, service_role;
