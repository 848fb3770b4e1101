-- Each row that amounts_before.sql kept (here: pg_temp.amount_before) beside what it is after 003, and what became of it.
-- requires: 003, mantis_runbook.journal and .decision
-- reads: the four tables once; audit_log by its index, for rows that differ; locks nothing
-- returns: table_name, id; org_id, currency, amounts as they should be; org_now, currency_now, amounts_now (NULL where the
--   row is gone); is_currency_judged; fate: 'compared', or 'changed' or 'deleted' by the application, which leaves it out.
-- Who wrote what: a step commits with its row of the journal, so both have the same xmin. The application's writes stamp
-- updated_at and leave a row in audit_log; the backfills run without triggers and do neither. What differs without such a
-- trace, or with one that the migration itself made, is the migration's doing.
-- The currency a row should have is the one its organisation had before: the rule is that of currency_of_settings() in 003.
-- It is not judged where the organisation named another one before the backfill reached it or has since: rows that exist
-- then keep theirs, rightly, and nobody can tell any more which of the two a row was to get.
WITH written_by_us AS MATERIALIZED (
    SELECT xmin AS transaction FROM mantis_runbook.journal WHERE version = '003'
),
meant AS MATERIALIZED (
    SELECT
        code,
        coalesce(
            CASE WHEN code IS NULL THEN 'USD' END,
            (
                SELECT enumlabel::text
                FROM pg_enum
                WHERE enumtypid = 'public.currency_code'::regtype
                  AND enumlabel = code
            ),
            (SELECT d.value FROM mantis_runbook.decision AS d WHERE d.subject = 'currency' AND d.key = code),
            quote_literal(code)
        ) AS currency
    FROM (SELECT DISTINCT code FROM pg_temp.amount_before) AS found
),
decided AS (
    SELECT org_id, code_found, xmin IN (SELECT transaction FROM written_by_us) AS is_ours
    FROM public.organization_currency
),
found AS (
    SELECT
        'customer' AS table_name, id, org_id, currency::text, updated_at, NULL::timestamptz AS order_updated_at,
        ARRAY[lifetime_value] AS amounts
    FROM public.customer

    UNION ALL
    SELECT 'inventory_item', id, org_id, currency::text, updated_at, NULL, ARRAY[unit_price]
    FROM public.inventory_item

    UNION ALL
    SELECT
        'purchase_order', id, org_id, currency::text, updated_at, NULL,
        ARRAY[total_amount, tax_amount, shipping_amount]
    FROM public.purchase_order

    UNION ALL
    SELECT
        'purchase_order_item', l.id, o.org_id, l.currency::text, l.updated_at, o.updated_at,
        ARRAY[l.unit_price, l.total_price]
    FROM public.purchase_order_item AS l
    JOIN public.purchase_order AS o ON o.id = l.purchase_order_id
),
beside AS (
    SELECT
        b.table_name,
        b.id,
        b.org_id,
        judged.is_currency_judged,
        CASE WHEN judged.is_currency_judged THEN m.currency ELSE coalesce(f.currency, m.currency) END AS currency,
        b.amounts,
        f.org_id AS org_now,
        CASE WHEN f.id IS NOT NULL THEN coalesce(f.currency, 'none') END AS currency_now,
        f.amounts AS amounts_now,
        -- A line changes its organisation and its currency with its order, its amounts by itself alone.
        f.updated_at IS DISTINCT FROM b.updated_at
        OR (f.order_updated_at IS DISTINCT FROM b.order_updated_at AND f.amounts IS NOT DISTINCT FROM b.amounts) AS is_stamped
    FROM pg_temp.amount_before AS b
    JOIN meant AS m ON m.code IS NOT DISTINCT FROM b.code
    LEFT JOIN decided AS d ON d.org_id = b.org_id
    CROSS JOIN LATERAL (
        SELECT d.org_id IS NULL OR (d.is_ours AND d.code_found IS NOT DISTINCT FROM b.code) AS is_currency_judged
    ) AS judged
    LEFT JOIN found AS f ON f.table_name = b.table_name AND f.id = b.id
),
differing AS MATERIALIZED (
    SELECT table_name, id
    FROM beside
    WHERE (org_now, currency_now, amounts_now) IS DISTINCT FROM (org_id, currency, amounts)
),
trail AS (
    SELECT
        table_name,
        id,
        bool_or(entry.is_ours) AS is_ours,
        bool_or(entry.action = 'DELETE' AND NOT entry.is_ours) AS is_deleted
    FROM differing
    CROSS JOIN LATERAL (
        SELECT a.action, a.xmin IN (SELECT transaction FROM written_by_us) AS is_ours
        FROM public.audit_log AS a
        WHERE a.table_name = differing.table_name
          AND a.record_id = differing.id
    ) AS entry
    GROUP BY table_name, id
)
SELECT
    beside.*,
    CASE
        WHEN differing.id IS NULL THEN 'compared'
        WHEN beside.amounts_now IS NULL AND trail.is_deleted THEN 'deleted'
        WHEN beside.amounts_now IS NOT NULL AND beside.is_stamped AND trail.is_ours IS NOT TRUE THEN 'changed'
        ELSE 'compared'
    END AS fate
FROM beside
LEFT JOIN differing USING (table_name, id)
LEFT JOIN trail USING (table_name, id)
