-- variant: other_functions
-- kind: functions of the application absent, or with another signature
-- expect: passes

DROP FUNCTION global_search(uuid, text, integer);
DROP FUNCTION get_widget_data(uuid);
DROP FUNCTION get_org_metrics(uuid, timestamptz, timestamptz);

CREATE FUNCTION get_org_metrics(target_org uuid)
    RETURNS jsonb
    LANGUAGE sql
    STABLE
AS $$
    SELECT jsonb_build_object('customers', count(*)) FROM customer WHERE org_id = target_org
$$;

CREATE FUNCTION global_search(search_text text, target_org uuid)
    RETURNS SETOF uuid
    LANGUAGE sql
    STABLE
AS $$
    SELECT id FROM customer WHERE org_id = target_org AND name ILIKE '%' || search_text || '%'
$$;

GRANT EXECUTE ON FUNCTION get_org_metrics(uuid), global_search(text, uuid) TO authenticated;
