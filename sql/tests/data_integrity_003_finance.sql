-- Data integrity of finance (migration 003): one row a test, and how many rows fail it. Zero everywhere is right.
-- Foreign keys, checks and triggers keep all of them; this asks the rows themselves, also those that came in while triggers
-- slept (restored, replicated, loaded).
-- Requires: 003, a role above row-level security. Locks nothing but ACCESS SHARE.

-- step: data integrity of finance
SELECT
    'organizations_without_currency' AS test_case,
    count(*) AS failure_count
FROM organization AS o
LEFT JOIN organization_currency AS k ON k.org_id = o.id
WHERE k.org_id IS NULL

UNION ALL
SELECT 'organizations_without_accounts', count(*)
FROM organization AS o
WHERE NOT EXISTS (SELECT FROM account AS a WHERE a.org_id = o.id)

UNION ALL
SELECT 'order_lines_in_another_currency', count(*)
FROM purchase_order_item AS i
JOIN purchase_order AS o ON o.id = i.purchase_order_id
WHERE i.currency IS DISTINCT FROM o.currency

UNION ALL
SELECT 'purchase_orders_that_are_not_the_sum_of_their_lines', count(*)
FROM purchase_order AS o
JOIN (SELECT purchase_order_id, sum(total_price) AS total FROM purchase_order_item GROUP BY 1) AS i ON i.purchase_order_id = o.id
WHERE o.total_amount <> i.total

UNION ALL
SELECT 'invoices_that_are_not_the_sum_of_their_lines', count(*)
FROM invoice AS i
CROSS JOIN LATERAL (
    SELECT coalesce(sum(l.line_total), 0) AS net, coalesce(sum(round_money(l.line_total * l.tax_rate * 0.01, i.currency)), 0) AS tax
    FROM invoice_item AS l
    WHERE l.invoice_id = i.id
) AS lines
WHERE (i.subtotal, i.tax_amount, i.total_amount) IS DISTINCT FROM (lines.net, lines.tax, lines.net + lines.tax - i.discount_amount)

UNION ALL
SELECT 'invoice_lines_that_are_not_quantity_times_price', count(*)
FROM invoice_item AS l
JOIN invoice AS i ON i.id = l.invoice_id
WHERE l.line_total IS DISTINCT FROM round_money(l.quantity * l.unit_price * (100 - l.discount_percentage) * 0.01, i.currency)

UNION ALL
SELECT 'invoices_whose_payments_do_not_add_up', count(*)
FROM invoice AS i
CROSS JOIN LATERAL (
    SELECT coalesce(sum(a.amount), 0) AS amount
    FROM payment_allocation AS a
    JOIN payment AS p ON p.id = a.payment_id
    WHERE a.invoice_id = i.id AND p.status = 'completed'
) AS paid
WHERE (i.amount_paid, i.amount_due) IS DISTINCT FROM (paid.amount, i.total_amount - paid.amount)
   OR paid.amount > greatest(i.total_amount, 0)

UNION ALL
SELECT 'payments_allocated_beyond_their_amount', count(*)
FROM (
    SELECT p.id
    FROM payment AS p
    JOIN payment_allocation AS a ON a.payment_id = p.id
    GROUP BY p.id
    HAVING sum(a.amount) > p.amount OR sum(a.amount) <> p.amount_allocated
) AS payments

UNION ALL
SELECT 'allocations_between_two_currencies', count(*)
FROM payment_allocation AS a
JOIN payment AS p ON p.id = a.payment_id
JOIN invoice AS i ON i.id = a.invoice_id
WHERE p.currency <> i.currency

UNION ALL
SELECT 'posted_entries_that_do_not_balance', count(*)
FROM (
    SELECT e.id
    FROM journal_entry AS e
    LEFT JOIN journal_entry_line AS l ON l.journal_entry_id = e.id
    WHERE e.is_posted
    GROUP BY e.id
    HAVING coalesce(sum(l.debit_amount), 0) <> coalesce(sum(l.credit_amount), 0) OR coalesce(sum(l.debit_amount), 0) = 0
) AS entries

UNION ALL
SELECT 'entries_whose_sums_are_not_their_lines', count(*)
FROM journal_entry AS e
CROSS JOIN LATERAL (
    SELECT coalesce(sum(l.debit_amount), 0) AS debits, coalesce(sum(l.credit_amount), 0) AS credits
    FROM journal_entry_line AS l
    WHERE l.journal_entry_id = e.id
) AS lines
WHERE (e.total_debits, e.total_credits) IS DISTINCT FROM (lines.debits, lines.credits)

UNION ALL
SELECT 'accounts_below_themselves', count(*)
FROM (
    WITH RECURSIVE way AS (
        SELECT id AS start, parent_account_id AS above FROM account WHERE parent_account_id IS NOT NULL
        UNION
        SELECT way.start, a.parent_account_id FROM way JOIN account AS a ON a.id = way.above
    )
    SELECT FROM way WHERE start = above
) AS circles

UNION ALL
SELECT 'overlapping_tax_rates', count(*)
FROM tax_rate AS a
JOIN tax_rate AS b ON b.org_id = a.org_id AND b.id > a.id AND lower(btrim(b.name)) = lower(btrim(a.name)) AND b.tax_type = a.tax_type
    AND coalesce(lower(btrim(b.jurisdiction)), '') = coalesce(lower(btrim(a.jurisdiction)), '')
WHERE a.is_active IS NOT FALSE
  AND b.is_active IS NOT FALSE
  AND daterange(a.effective_from, a.effective_to, '[]') && daterange(b.effective_from, b.effective_to, '[]')

UNION ALL
SELECT 'references_across_organizations', count(*)
FROM (
    SELECT r.org_id AS own, p.org_id AS other FROM invoice AS r JOIN customer AS p ON p.id = r.customer_id
    UNION ALL SELECT r.org_id, p.org_id FROM invoice AS r JOIN sales_order AS p ON p.id = r.sales_order_id
    UNION ALL SELECT r.org_id, p.org_id FROM payment AS r JOIN customer AS p ON p.id = r.customer_id
    UNION ALL SELECT r.org_id, p.org_id FROM payment AS r JOIN invoice AS p ON p.id = r.invoice_id
    UNION ALL SELECT r.org_id, p.org_id FROM payment_allocation AS r JOIN payment AS p ON p.id = r.payment_id
    UNION ALL SELECT r.org_id, p.org_id FROM payment_allocation AS r JOIN invoice AS p ON p.id = r.invoice_id
    UNION ALL SELECT r.org_id, p.org_id FROM account AS r JOIN account AS p ON p.id = r.parent_account_id
    UNION ALL
    SELECT h.org_id, p.org_id
    FROM invoice_item AS r JOIN invoice AS h ON h.id = r.invoice_id JOIN product AS p ON p.id = r.product_id
    UNION ALL
    SELECT h.org_id, p.org_id
    FROM journal_entry_line AS r JOIN journal_entry AS h ON h.id = r.journal_entry_id JOIN account AS p ON p.id = r.account_id
) AS reference
WHERE own IS DISTINCT FROM other

UNION ALL
SELECT 'numbers_behind_their_documents', count(*)
FROM document_number AS n
JOIN (
    SELECT org_id, 'invoice' AS kind, substring(invoice_number FROM '^INV-(\d{4})-') AS year, substring(invoice_number FROM '^INV-\d{4}-(\d{6,15})$') AS number FROM invoice
    UNION ALL
    SELECT org_id, 'payment', substring(payment_number FROM '^PAY-(\d{4})-'), substring(payment_number FROM '^PAY-\d{4}-(\d{6,15})$') FROM payment
    UNION ALL
    SELECT org_id, 'journal_entry', substring(entry_number FROM '^JE-(\d{4})-'), substring(entry_number FROM '^JE-\d{4}-(\d{6,15})$') FROM journal_entry
) AS document USING (org_id, kind)
WHERE n.year = document.year::integer
  AND n.last_number < document.number::bigint;
