-- The strategy's first pre-migration query: statistics of the seven central tables. Not a check: it returns what is there.
SELECT schemaname, tablename, attname, n_distinct, correlation
FROM pg_stats
WHERE schemaname = 'public'
  AND tablename IN (
      'organization', 'profile', 'customer', 'supplier', 'inventory_item', 'purchase_order', 'ai_conversation'
  )
ORDER BY tablename, attname
