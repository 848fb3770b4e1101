-- step: no review is empty
SELECT rating_id FROM customer_review WHERE words = $$$$;
