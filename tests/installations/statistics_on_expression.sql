-- variant: statistics_on_expression
-- kind: an extended statistics object on an expression that stops ANALYZE of everything after a restore on 17 and newer
-- expect: passes

CREATE TABLE region (code text PRIMARY KEY, name text);
INSERT INTO region VALUES ('eu', 'Europe'), ('za', 'South Africa');

CREATE FUNCTION region_of(address jsonb)
    RETURNS text
    LANGUAGE plpgsql
    IMMUTABLE
AS $$
BEGIN
    RETURN (SELECT name FROM region WHERE code = coalesce(address ->> 'region', 'za'));
END
$$;

CREATE STATISTICS customer_region ON (region_of(address)), status FROM customer;
CREATE STATISTICS ticket_kinds (dependencies, ndistinct) ON status, priority FROM support_ticket;
