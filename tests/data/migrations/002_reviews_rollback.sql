-- step: drop the table
DROP TABLE customer_review;
