-- variant: partitions_of_theirs
-- kind: default partitions with rows, and quarters and months ahead under names of the owner's
-- expect: passes or refused
-- names: partition
-- reason: rows in a default partition that belong to a quarter ahead hold its partition up; the owner must say when to move them

CREATE TABLE customer_interaction_default PARTITION OF customer_interaction DEFAULT;
CREATE TABLE customer_interaction_p2025_10 PARTITION OF customer_interaction FOR VALUES FROM ('2025-10-01 00:00+00') TO ('2025-11-01 00:00+00');
CREATE TABLE ai_message_default PARTITION OF ai_message DEFAULT;
CREATE TABLE system_metric_p2026 PARTITION OF system_metric FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2027-01-01 00:00+00');

INSERT INTO customer_interaction (org_id, customer_id, channel, type, content, timestamp)
SELECT org_id, id, 'email', 'inquiry', 'late', '2026-02-03' FROM customer ORDER BY id LIMIT 30;
INSERT INTO ai_message (conversation_id, role, content, timestamp)
SELECT id, 'user', 'late', '2026-11-20' FROM ai_conversation ORDER BY id LIMIT 30;
INSERT INTO system_metric (org_id, metric_name, metric_type, metric_value, timestamp)
SELECT id, 'cpu', 'gauge', 1, '2026-11-11' FROM organization;
