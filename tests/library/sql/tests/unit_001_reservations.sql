-- What readers may rely on: nobody reserves a book twice. Leaves nothing behind.
-- Requires: 001. Locks rows of its own alone.

-- step: a reader reserves a book once
DO $$
BEGIN
    INSERT INTO reservation (branch_id, reader_id, book_id)
    SELECT branch_id, id, (SELECT min(id) FROM book) FROM reader ORDER BY id LIMIT 1;
    INSERT INTO reservation (branch_id, reader_id, book_id)
    SELECT branch_id, id, (SELECT min(id) FROM book) FROM reader ORDER BY id LIMIT 1;
    RAISE EXCEPTION 'the same reservation was made twice';
EXCEPTION
    WHEN unique_violation THEN NULL;
END $$;
