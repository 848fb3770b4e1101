-- step: no remark is empty
SELECT words FROM customer_remark WHERE words = $$$$;
