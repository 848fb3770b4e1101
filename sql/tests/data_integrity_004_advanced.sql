-- Data integrity of phase 4 (migrations 004 to 009): one row a test, and how many rows fail it. Zero everywhere is right.
-- Foreign keys, checks and triggers keep all of them; this asks the rows themselves, also those that came in while
-- triggers slept (restored, replicated, loaded).
-- Requires: 009, a role above row-level security. Locks nothing but ACCESS SHARE.

-- step: data integrity of phase 4
SELECT
    'documents_without_exactly_one_current_version' AS test_case,
    count(*) AS failure_count
FROM (
    SELECT FROM document GROUP BY coalesce(parent_document_id, id) HAVING count(*) FILTER (WHERE is_current_version) <> 1
) AS chains

UNION ALL
SELECT 'versions_that_hang_on_a_version', count(*)
FROM document AS version
JOIN document AS first ON first.id = version.parent_document_id
WHERE first.parent_document_id IS NOT NULL

UNION ALL
SELECT 'versions_of_another_organization', count(*)
FROM document AS version
JOIN document AS first ON first.id = version.parent_document_id
WHERE first.org_id <> version.org_id

UNION ALL
SELECT 'documents_uploaded_by_strangers', count(*)
FROM document AS d
JOIN profile AS p ON p.id = d.uploaded_by
WHERE p.org_id <> d.org_id

UNION ALL
SELECT 'permissions_for_strangers', count(*)
FROM document_permission AS m
JOIN document AS d ON d.id = m.document_id
JOIN profile AS p ON p.id = m.user_id
WHERE p.org_id <> d.org_id

UNION ALL
SELECT 'campaigns_with_a_template_of_another_organization', count(*)
FROM communication_campaign AS c
JOIN communication_template AS t ON t.id = c.template_id
WHERE t.org_id <> c.org_id

UNION ALL
SELECT 'messages_of_a_campaign_of_another_organization', count(*)
FROM communication_log AS l
JOIN communication_campaign AS c ON c.id = l.campaign_id
WHERE c.org_id <> l.org_id

UNION ALL
SELECT 'audit_entries_with_one_id', count(*)
FROM (SELECT FROM audit_log GROUP BY id HAVING count(*) > 1) AS ids

UNION ALL
SELECT 'audit_entries_outside_their_quarter', count(*)
FROM audit_log AS a
JOIN partition_bounds('audit_log') AS quarter ON quarter.part = a.tableoid
WHERE (a.timestamp >= quarter.low AND a.timestamp < quarter.high) IS NOT TRUE

ORDER BY 1
