-- variant: history_tables
-- kind: history tables that triggers fill: they grow when a migration touches a row
-- expect: passes

CREATE SCHEMA ops;
CREATE TABLE ops.row_history (
    id          bigint       GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name  text         NOT NULL,
    changed_at  timestamptz  DEFAULT clock_timestamp(),
    row_before  jsonb
);
CREATE TABLE customer_history (LIKE customer, changed_at timestamptz DEFAULT clock_timestamp());
ALTER TABLE customer_history ENABLE ROW LEVEL SECURITY;
CREATE POLICY customer_history_of_own_organization ON customer_history USING (org_id = (SELECT current_org_id()));

CREATE FUNCTION ops.keep_history()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
BEGIN
    INSERT INTO ops.row_history (table_name, row_before) VALUES (TG_TABLE_NAME, to_jsonb(OLD));
    IF TG_TABLE_NAME = 'customer' AND TG_OP <> 'INSERT' THEN
        INSERT INTO customer_history
        SELECT OLD.id, OLD.org_id, OLD.name, OLD.email, OLD.phone, OLD.company, OLD.segment, OLD.status, OLD.lifetime_value;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER keep_history AFTER INSERT OR UPDATE OR DELETE ON customer FOR EACH ROW EXECUTE FUNCTION ops.keep_history();
CREATE TRIGGER keep_history AFTER INSERT OR UPDATE OR DELETE ON organization FOR EACH ROW EXECUTE FUNCTION ops.keep_history();
CREATE TRIGGER keep_history AFTER INSERT OR UPDATE OR DELETE ON purchase_order FOR EACH ROW EXECUTE FUNCTION ops.keep_history();
CREATE TRIGGER keep_history AFTER INSERT OR UPDATE OR DELETE ON inventory_item FOR EACH ROW EXECUTE FUNCTION ops.keep_history();
UPDATE customer SET phone = phone WHERE id IN (SELECT id FROM customer LIMIT 10);
