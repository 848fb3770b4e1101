-- variant: other_views
-- kind: views with other columns (v_organization_overview.id), one view missing, one that never worked
-- expect: passes

DROP VIEW v_organization_overview, v_recent_activity, v_ai_workspace_stats;

CREATE VIEW v_organization_overview WITH (security_invoker = true) AS
SELECT o.id, o.name AS organization_name, (SELECT count(*) FROM customer AS c WHERE c.org_id = o.id) AS total_customers
FROM organization AS o;

CREATE VIEW v_recent_activity WITH (security_invoker = true) AS
SELECT id, org_id, po_number AS what, notes::date AS at
FROM purchase_order;

GRANT SELECT ON v_organization_overview, v_recent_activity TO authenticated, service_role;
