-- step: drop the index
DROP INDEX CONCURRENTLY customer_rating_idx;

-- step: drop the column
ALTER TABLE customer DROP COLUMN rating;

-- step: drop the table
DROP TABLE customer_rating;
