-- step: every customer has a rating
SELECT id FROM customer WHERE rating IS NULL;
