-- Migration 008: Analytics
-- phase: 4
-- requires: 001, 002, 003
--
-- What it is: the materialized views customer_analytics, sales_performance, financial_overview and inventory_performance, a
-- view for tenants on each, and refresh_analytics().
--
-- What it locks: ACCESS SHARE on the tables it reads, while it reads them; reading and writing go on. The views are made
-- empty (WITH NO DATA), which takes no time, and filled by steps of their own; nobody uses them by then.
--
-- What an operator must know:
-- - the names are the application's, and a materialized view knows no row-level security: it shows every organisation's
--   rows to whoever may read it. So nobody but service_role may; users read customer_analytics_of_tenant,
--   sales_performance_of_tenant, financial_overview_of_tenant and inventory_performance_of_tenant, which run with their
--   owner's rights and show the own organisation alone. The application's queries as a user need that one word; a plain
--   view under the old name would have kept the word and broken refreshing, indexes and the names that were agreed on;
-- - SELECT refresh_analytics() brings all four up to date, CONCURRENTLY: readers read on meanwhile. Let a job call it,
--   every quarter of an hour for example, never more often than it takes: it holds a snapshot while it runs;
-- - each sum is taken over one table, before anything is joined; every row counts, whatever its status, and what was
--   cancelled is given besides, so that a figure can be checked by one SELECT on one table;
-- - amounts of several currencies cannot be added: currencies names those in a row, and where it names more than one, only
--   amounts_by_currency tells the truth;
-- - months are those of the documents' own dates, of created_at in UTC where there is none;
-- - a column that one of them reads cannot change its type, nor be dropped, before the view is.

-- step: customer analytics
CREATE MATERIALIZED VIEW customer_analytics AS
WITH of_orders AS (
    SELECT customer_id, currency, count(*) AS orders, sum(total_amount) AS ordered, max(order_date) AS last_order_date,
           count(*) FILTER (WHERE status = 'cancelled') AS cancelled_orders
    FROM sales_order
    GROUP BY customer_id, currency
),
of_invoices AS (
    SELECT customer_id, currency, count(*) AS invoices, sum(total_amount) AS invoiced, sum(amount_paid) AS paid, sum(amount_due) AS due
    FROM invoice
    GROUP BY customer_id, currency
),
of_amounts AS (
    SELECT customer_id, currency, sum(ordered) AS ordered, sum(invoiced) AS invoiced, sum(paid) AS paid
    FROM (
        SELECT customer_id, currency, ordered, 0 AS invoiced, 0 AS paid FROM of_orders
        UNION ALL
        SELECT customer_id, currency, 0, invoiced, paid FROM of_invoices
    ) AS amounts
    GROUP BY customer_id, currency
),
orders AS (
    SELECT customer_id, sum(orders) AS orders, sum(ordered) AS ordered, max(last_order_date) AS last_order_date,
           sum(cancelled_orders) AS cancelled_orders
    FROM of_orders
    GROUP BY customer_id
),
invoices AS (
    SELECT customer_id, sum(invoices) AS invoices, sum(invoiced) AS invoiced, sum(paid) AS paid, sum(due) AS due
    FROM of_invoices
    GROUP BY customer_id
),
currencies AS (
    SELECT customer_id, array_agg(currency ORDER BY currency) AS currencies,
           jsonb_object_agg(
               coalesce(currency::text, '?'),
               jsonb_build_object('order_value', ordered, 'invoiced', invoiced, 'paid', paid)
           ) AS amounts
    FROM of_amounts
    GROUP BY customer_id
),
tickets AS (
    SELECT customer_id, count(*) AS tickets, count(*) FILTER (WHERE status NOT IN ('resolved', 'closed')) AS open_tickets
    FROM support_ticket
    GROUP BY customer_id
),
interactions AS (
    SELECT customer_id, count(*) AS interactions, max(timestamp) AS last_interaction_at,
           round(avg(CASE sentiment
               WHEN 'very_negative' THEN -2 WHEN 'negative' THEN -1 WHEN 'neutral' THEN 0 WHEN 'positive' THEN 1 WHEN 'very_positive' THEN 2
           END), 2) AS average_sentiment
    FROM customer_interaction
    GROUP BY customer_id
)
SELECT
    c.org_id,
    c.id AS customer_id,
    c.name AS customer_name,
    c.segment,
    c.status,
    coalesce(o.orders, 0)::bigint AS orders,
    coalesce(o.cancelled_orders, 0)::bigint AS cancelled_orders,
    coalesce(o.ordered, 0) AS order_value,
    o.last_order_date,
    coalesce(i.invoices, 0)::bigint AS invoices,
    coalesce(i.invoiced, 0) AS invoiced,
    coalesce(i.paid, 0) AS paid,
    coalesce(i.due, 0) AS due,
    coalesce(t.tickets, 0) AS tickets,
    coalesce(t.open_tickets, 0) AS open_tickets,
    coalesce(n.interactions, 0) AS interactions,
    n.last_interaction_at,
    n.average_sentiment,
    coalesce(a.currencies, '{}') AS currencies,
    coalesce(a.amounts, '{}') AS amounts_by_currency
FROM customer AS c
LEFT JOIN orders AS o ON o.customer_id = c.id
LEFT JOIN invoices AS i ON i.customer_id = c.id
LEFT JOIN tickets AS t ON t.customer_id = c.id
LEFT JOIN interactions AS n ON n.customer_id = c.id
LEFT JOIN currencies AS a ON a.customer_id = c.id
WITH NO DATA;

CREATE UNIQUE INDEX customer_analytics_customer_id_key ON customer_analytics (customer_id);
CREATE INDEX idx_customer_analytics_org_value ON customer_analytics (org_id, order_value DESC);

COMMENT ON MATERIALIZED VIEW customer_analytics IS 'One row a customer: orders, invoices, tickets, interactions. Of every organisation: users read customer_analytics_of_tenant.';
COMMENT ON COLUMN customer_analytics.customer_name IS 'personal data: identity: the customer may be a person.';
COMMENT ON COLUMN customer_analytics.order_value IS 'money: sum of sales_order.total_amount, in currencies.';
COMMENT ON COLUMN customer_analytics.invoiced IS 'money: sum of invoice.total_amount, in currencies.';
COMMENT ON COLUMN customer_analytics.paid IS 'money: sum of invoice.amount_paid, in currencies.';
COMMENT ON COLUMN customer_analytics.due IS 'money: sum of invoice.amount_due, in currencies.';
COMMENT ON COLUMN customer_analytics.amounts_by_currency IS 'money: order_value, invoiced and paid of each currency.';
COMMENT ON COLUMN customer_analytics.average_sentiment IS 'personal data: behaviour: from -2, very negative, to 2, very positive; NULL where no interaction has one.';
COMMENT ON COLUMN customer_analytics.last_interaction_at IS 'personal data: behaviour: when the customer was last heard of.';

REVOKE ALL ON customer_analytics FROM PUBLIC, anon, authenticated;
GRANT SELECT ON customer_analytics TO service_role;

-- step: sales performance
-- Each table gives its own rows, which are then added up: what is not joined cannot multiply.
CREATE MATERIALIZED VIEW sales_performance AS
-- NULL has its type and name in each part: PostgreSQL would write the view down otherwise than it reads it again, and a
-- restored copy would differ.
WITH figures AS (
    SELECT org_id, date_trunc('month', coalesce(order_date::timestamp, created_at AT TIME ZONE 'UTC'))::date AS month, currency,
           count(*) AS orders, sum(total_amount) AS order_value,
           count(*) FILTER (WHERE status = 'cancelled') AS cancelled_orders,
           coalesce(sum(total_amount) FILTER (WHERE status = 'cancelled'), 0) AS cancelled_value,
           0::bigint AS customers, 0::bigint AS quotes, 0::numeric AS quote_value, 0::bigint AS converted_quotes,
           0::bigint AS leads, 0::bigint AS converted_leads, 0::bigint AS won_opportunities, 0::numeric AS won_value
    FROM sales_order
    GROUP BY 1, 2, 3

    UNION ALL
    SELECT org_id, date_trunc('month', coalesce(order_date::timestamp, created_at AT TIME ZONE 'UTC'))::date, NULL::currency_code AS currency,
           0, 0, 0, 0, count(DISTINCT customer_id), 0, 0, 0, 0, 0, 0, 0
    FROM sales_order
    GROUP BY 1, 2

    UNION ALL
    SELECT org_id, date_trunc('month', created_at AT TIME ZONE 'UTC')::date, currency,
           0, 0, 0, 0, 0, count(*), sum(total_amount), count(converted_to_order_id), 0, 0, 0, 0
    FROM sales_quote
    GROUP BY 1, 2, 3

    UNION ALL
    SELECT org_id, date_trunc('month', created_at AT TIME ZONE 'UTC')::date, NULL::currency_code AS currency,
           0, 0, 0, 0, 0, 0, 0, 0, count(*), count(converted_at), 0, 0
    FROM lead
    GROUP BY 1, 2

    UNION ALL
    SELECT org_id, date_trunc('month', coalesce(actual_close_date::timestamp, created_at AT TIME ZONE 'UTC'))::date, currency,
           0, 0, 0, 0, 0, 0, 0, 0, 0, 0, count(*), sum(amount)
    FROM opportunity
    WHERE is_won
    GROUP BY 1, 2, 3
),
by_currency AS (
    SELECT org_id, month, array_agg(currency ORDER BY currency) AS currencies,
           jsonb_object_agg(currency, jsonb_build_object('order_value', order_value, 'quote_value', quote_value, 'won_value', won_value)) AS amounts
    FROM (
        SELECT org_id, month, currency, sum(order_value) AS order_value, sum(quote_value) AS quote_value, sum(won_value) AS won_value
        FROM figures
        WHERE currency IS NOT NULL
        GROUP BY org_id, month, currency
    ) AS amounts
    GROUP BY org_id, month
),
totals AS (
    SELECT org_id, month,
           sum(orders)::bigint AS orders, sum(order_value) AS order_value,
           sum(cancelled_orders)::bigint AS cancelled_orders, sum(cancelled_value) AS cancelled_value,
           sum(customers)::bigint AS customers,
           sum(quotes)::bigint AS quotes, sum(quote_value) AS quote_value, sum(converted_quotes)::bigint AS converted_quotes,
           sum(leads)::bigint AS leads, sum(converted_leads)::bigint AS converted_leads,
           sum(won_opportunities)::bigint AS won_opportunities, sum(won_value) AS won_value
    FROM figures
    GROUP BY org_id, month
)
SELECT
    totals.*,
    round(order_value / nullif(orders, 0), 2) AS average_order_value,
    coalesce(by_currency.currencies, '{}') AS currencies,
    coalesce(by_currency.amounts, '{}') AS amounts_by_currency
FROM totals
LEFT JOIN by_currency ON by_currency.org_id = totals.org_id AND by_currency.month IS NOT DISTINCT FROM totals.month
WITH NO DATA;

CREATE UNIQUE INDEX sales_performance_org_id_month_key ON sales_performance (org_id, month);

COMMENT ON MATERIALIZED VIEW sales_performance IS 'One row an organisation and month: orders, quotes, leads, what was won. Of every organisation: users read sales_performance_of_tenant.';
COMMENT ON COLUMN sales_performance.month IS 'Its first day.';
COMMENT ON COLUMN sales_performance.order_value IS 'money: sum of sales_order.total_amount, in currencies.';
COMMENT ON COLUMN sales_performance.cancelled_value IS 'money: the part of order_value whose orders were cancelled, in currencies.';
COMMENT ON COLUMN sales_performance.quote_value IS 'money: sum of sales_quote.total_amount, in currencies.';
COMMENT ON COLUMN sales_performance.won_value IS 'money: sum of opportunity.amount of those won, in currencies.';
COMMENT ON COLUMN sales_performance.average_order_value IS 'money: order_value for each order, in currencies.';
COMMENT ON COLUMN sales_performance.amounts_by_currency IS 'money: order_value, quote_value and won_value of each currency.';

REVOKE ALL ON sales_performance FROM PUBLIC, anon, authenticated;
GRANT SELECT ON sales_performance TO service_role;

-- step: financial overview
CREATE MATERIALIZED VIEW financial_overview AS
WITH figures AS (
    SELECT org_id, date_trunc('month', coalesce(invoice_date::timestamp, created_at AT TIME ZONE 'UTC'))::date AS month, currency,
           count(*) AS invoices, sum(total_amount) AS invoiced, sum(tax_amount) AS tax, sum(amount_due) AS due,
           coalesce(sum(total_amount) FILTER (WHERE status = 'cancelled'), 0) AS cancelled,
           0::bigint AS payments, 0::numeric AS paid, 0::numeric AS received, 0::numeric AS refunded,
           0::bigint AS purchases, 0::numeric AS purchased
    FROM invoice
    GROUP BY 1, 2, 3

    UNION ALL
    SELECT org_id, date_trunc('month', coalesce(payment_date::timestamp, created_at AT TIME ZONE 'UTC'))::date, currency,
           0, 0, 0, 0, 0,
           count(*), sum(amount),
           coalesce(sum(amount) FILTER (WHERE status = 'completed'), 0),
           coalesce(sum(amount) FILTER (WHERE status = 'refunded'), 0),
           0, 0
    FROM payment
    GROUP BY 1, 2, 3

    UNION ALL
    SELECT org_id, date_trunc('month', coalesce(order_date::timestamp, created_at AT TIME ZONE 'UTC'))::date, currency,
           0, 0, 0, 0, 0, 0, 0, 0, 0,
           count(*), coalesce(sum(total_amount), 0)
    FROM purchase_order
    GROUP BY 1, 2, 3
),
by_currency AS (
    SELECT org_id, month, array_agg(currency ORDER BY currency) AS currencies,
           jsonb_object_agg(
               coalesce(currency::text, '?'),
               jsonb_build_object('invoiced', invoiced, 'received', received, 'due', due, 'purchased', purchased)
           ) AS amounts
    FROM (
        SELECT org_id, month, currency, sum(invoiced) AS invoiced, sum(received) AS received, sum(due) AS due, sum(purchased) AS purchased
        FROM figures
        GROUP BY org_id, month, currency
    ) AS amounts
    GROUP BY org_id, month
),
totals AS (
    SELECT org_id, month,
           sum(invoices)::bigint AS invoices, sum(invoiced) AS invoiced, sum(tax) AS tax, sum(cancelled) AS cancelled, sum(due) AS due,
           sum(payments)::bigint AS payments, sum(paid) AS paid, sum(received) AS received, sum(refunded) AS refunded,
           sum(purchases)::bigint AS purchases, sum(purchased) AS purchased
    FROM figures
    GROUP BY org_id, month
)
SELECT totals.*, by_currency.currencies, by_currency.amounts AS amounts_by_currency
FROM totals
JOIN by_currency ON by_currency.org_id = totals.org_id AND by_currency.month IS NOT DISTINCT FROM totals.month
WITH NO DATA;

CREATE UNIQUE INDEX financial_overview_org_id_month_key ON financial_overview (org_id, month);

COMMENT ON MATERIALIZED VIEW financial_overview IS 'One row an organisation and month: invoices, payments, purchases. Of every organisation: users read financial_overview_of_tenant.';
COMMENT ON COLUMN financial_overview.month IS 'Its first day.';
COMMENT ON COLUMN financial_overview.invoiced IS 'money: sum of invoice.total_amount, in currencies.';
COMMENT ON COLUMN financial_overview.tax IS 'money: sum of invoice.tax_amount, in currencies.';
COMMENT ON COLUMN financial_overview.cancelled IS 'money: the part of invoiced whose invoices were cancelled, in currencies.';
COMMENT ON COLUMN financial_overview.due IS 'money: sum of invoice.amount_due, as of the last refresh, in currencies.';
COMMENT ON COLUMN financial_overview.paid IS 'money: sum of payment.amount, whatever became of it, in currencies.';
COMMENT ON COLUMN financial_overview.received IS 'money: the part of paid that was completed, in currencies.';
COMMENT ON COLUMN financial_overview.refunded IS 'money: the part of paid that was refunded, in currencies.';
COMMENT ON COLUMN financial_overview.purchased IS 'money: sum of purchase_order.total_amount, in currencies.';
COMMENT ON COLUMN financial_overview.amounts_by_currency IS 'money: invoiced, received, due and purchased of each currency.';

REVOKE ALL ON financial_overview FROM PUBLIC, anon, authenticated;
GRANT SELECT ON financial_overview TO service_role;

-- step: inventory performance
-- A line of an order has one product and one order, a product one item: joining them multiplies nothing.
CREATE MATERIALIZED VIEW inventory_performance AS
WITH sales AS (
    SELECT p.inventory_item_id, o.currency, sum(l.quantity) AS sold, sum(l.line_total) AS revenue
    FROM sales_order_item AS l
    JOIN product AS p ON p.id = l.product_id
    JOIN sales_order AS o ON o.id = l.order_id
    WHERE p.inventory_item_id IS NOT NULL
    GROUP BY p.inventory_item_id, o.currency
),
orders AS (
    SELECT p.inventory_item_id, count(DISTINCT l.order_id) AS orders
    FROM sales_order_item AS l
    JOIN product AS p ON p.id = l.product_id
    WHERE p.inventory_item_id IS NOT NULL
    GROUP BY p.inventory_item_id
),
totals AS (
    SELECT inventory_item_id, sum(sold) AS sold, sum(revenue) AS revenue,
           array_agg(currency ORDER BY currency) AS currencies,
           jsonb_object_agg(coalesce(currency::text, '?'), jsonb_build_object('sold', sold, 'revenue', revenue)) AS amounts
    FROM sales
    GROUP BY inventory_item_id
)
SELECT
    i.org_id,
    i.id AS inventory_item_id,
    i.sku,
    i.name AS item_name,
    i.category,
    coalesce(o.orders, 0) AS orders,
    coalesce(t.sold, 0) AS sold,
    coalesce(t.revenue, 0) AS revenue,
    coalesce(t.currencies, '{}') AS currencies,
    coalesce(t.amounts, '{}') AS amounts_by_currency,
    i.quantity_on_hand,
    i.quantity_on_hand - held.reserved AS quantity_available,
    CASE
        WHEN NOT i.is_active THEN 'inactive'
        WHEN i.quantity_on_hand = 0 THEN 'out_of_stock'
        WHEN i.quantity_on_hand = held.reserved THEN 'all_reserved'
        WHEN i.quantity_on_hand - held.reserved <= i.reorder_point THEN 'low_stock'
        WHEN i.quantity_on_hand > i.max_stock_level THEN 'overstocked'
        ELSE 'in_stock'
    END AS stock_status,
    coalesce(i.unit_price * i.quantity_on_hand, 0) AS stock_value,
    i.currency AS stock_currency
FROM inventory_item AS i
-- Some installations reserve nothing: their items have no such column.
CROSS JOIN LATERAL (
    SELECT CASE WHEN to_jsonb(i) ? 'quantity_reserved' THEN (to_jsonb(i) ->> 'quantity_reserved')::integer ELSE 0 END AS reserved
) AS held
LEFT JOIN orders AS o ON o.inventory_item_id = i.id
LEFT JOIN totals AS t ON t.inventory_item_id = i.id
WITH NO DATA;

CREATE UNIQUE INDEX inventory_performance_inventory_item_id_key ON inventory_performance (inventory_item_id);
CREATE INDEX idx_inventory_performance_org_status ON inventory_performance (org_id, stock_status);

COMMENT ON MATERIALIZED VIEW inventory_performance IS 'One row an item of the inventory: what was sold of it, and what is in stock. Of every organisation: users read inventory_performance_of_tenant.';
COMMENT ON COLUMN inventory_performance.revenue IS 'money: sum of sales_order_item.line_total, in currencies.';
COMMENT ON COLUMN inventory_performance.amounts_by_currency IS 'money: sold and revenue of each currency.';
COMMENT ON COLUMN inventory_performance.stock_value IS 'money: unit_price for each piece on hand, in stock_currency.';

REVOKE ALL ON inventory_performance FROM PUBLIC, anon, authenticated;
GRANT SELECT ON inventory_performance TO service_role;

-- step: figures of customers
REFRESH MATERIALIZED VIEW customer_analytics;

-- step: figures of sales
REFRESH MATERIALIZED VIEW sales_performance;

-- step: figures of finance
REFRESH MATERIALIZED VIEW financial_overview;

-- step: figures of the inventory
REFRESH MATERIALIZED VIEW inventory_performance;

-- step: analytics of a tenant
-- With their owner's rights, for the caller has none on what they read; as security barriers, so that no condition of the
-- caller's is tried on another tenant's row.
CREATE VIEW customer_analytics_of_tenant WITH (security_barrier = true) AS
SELECT * FROM customer_analytics WHERE org_id = (SELECT tenant_org_id());
CREATE VIEW sales_performance_of_tenant WITH (security_barrier = true) AS
SELECT * FROM sales_performance WHERE org_id = (SELECT tenant_org_id());
CREATE VIEW financial_overview_of_tenant WITH (security_barrier = true) AS
SELECT * FROM financial_overview WHERE org_id = (SELECT tenant_org_id());
CREATE VIEW inventory_performance_of_tenant WITH (security_barrier = true) AS
SELECT * FROM inventory_performance WHERE org_id = (SELECT tenant_org_id());

COMMENT ON VIEW customer_analytics_of_tenant IS 'customer_analytics of the current user''s organisation.';
COMMENT ON VIEW sales_performance_of_tenant IS 'sales_performance of the current user''s organisation.';
COMMENT ON VIEW financial_overview_of_tenant IS 'financial_overview of the current user''s organisation.';
COMMENT ON VIEW inventory_performance_of_tenant IS 'inventory_performance of the current user''s organisation.';
COMMENT ON COLUMN customer_analytics_of_tenant.customer_name IS 'personal data: identity: the customer may be a person.';
COMMENT ON COLUMN customer_analytics_of_tenant.average_sentiment IS 'personal data: behaviour: from -2, very negative, to 2, very positive.';
COMMENT ON COLUMN customer_analytics_of_tenant.last_interaction_at IS 'personal data: behaviour: when the customer was last heard of.';

REVOKE ALL ON
    customer_analytics_of_tenant, sales_performance_of_tenant, financial_overview_of_tenant, inventory_performance_of_tenant
    FROM PUBLIC, anon, authenticated;
GRANT SELECT ON
    customer_analytics_of_tenant, sales_performance_of_tenant, financial_overview_of_tenant, inventory_performance_of_tenant
    TO authenticated, service_role;

-- step: analytics brought up to date
-- SECURITY DEFINER: only the owner of a materialized view may refresh it, and a job runs as service_role.
CREATE FUNCTION refresh_analytics()
    RETURNS void
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
AS $$
BEGIN
    REFRESH MATERIALIZED VIEW CONCURRENTLY customer_analytics;
    REFRESH MATERIALIZED VIEW CONCURRENTLY sales_performance;
    REFRESH MATERIALIZED VIEW CONCURRENTLY financial_overview;
    REFRESH MATERIALIZED VIEW CONCURRENTLY inventory_performance;
END
$$;

COMMENT ON FUNCTION refresh_analytics() IS
    'Brings the four materialized views of analytics up to date while they are read; two calls wait for each other.';

REVOKE EXECUTE ON FUNCTION refresh_analytics() FROM PUBLIC, anon, authenticated;
GRANT EXECUTE ON FUNCTION refresh_analytics() TO service_role;
