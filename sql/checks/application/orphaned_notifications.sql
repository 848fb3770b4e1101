-- check: orphaned_notifications
-- title: Notifications about tickets that do not exist
-- severity: warn
-- phases: 0,5
-- expected: every ticket named in notification.metadata there
-- action: no foreign key guards metadata: delete these notifications, or leave them, the application must bear it; nothing of the migration depends on it
-- reads: notification once, keys of support_ticket
SELECT
    'notification.metadata ticket_id' AS object,
    count(*) AS found,
    format('%s notification(s) name a missing ticket', count(*)) AS detail
FROM notification
WHERE metadata ->> 'ticket_id' IS NOT NULL
  AND NOT EXISTS (
      SELECT FROM support_ticket WHERE support_ticket.id::text = lower(notification.metadata ->> 'ticket_id')
  )
HAVING count(*) > 0
